// Stages and requests for events that another program signs, or made: a line of JSON asks, a line of JSON answers.

import * as readline from 'node:readline';
import { checkpointers } from '@hyperledger/fabric-gateway';
import { gateway, given } from './client.mjs';

const { client, gateway: opened, network } = await gateway({ offline: true });
const contract = network.getContract(given.chaincode);
const { endorsers } = given;

const bytes = (text) => Buffer.from(text, 'base64');
const text = (data) => Buffer.from(data).toString('base64');
const carried = (stage) => ({ bytes: text(stage.getBytes()), digest: text(stage.getDigest()) });
const start = ({ startBlock }) => ({ startBlock: BigInt(startBlock) });

async function first(events) {
    try {
        for await (const one of events) {
            return one;
        }
    } finally {
        events.close();
    }
}

const calls = {
    propose: async (asked) =>
        carried(contract.newProposal(asked.function, { arguments: asked.arguments, endorsingOrganizations: endorsers })),
    endorse: async (asked) => carried(await opened.newSignedProposal(bytes(asked.bytes), bytes(asked.signature)).endorse()),
    submit: async (asked) =>
        carried(await opened.newSignedTransaction(bytes(asked.bytes), bytes(asked.signature)).submit()),
    status: async (asked) => {
        const status = await opened.newSignedCommit(bytes(asked.bytes), bytes(asked.signature)).getStatus();
        return { code: status.code, block: Number(status.blockNumber), transactionId: status.transactionId };
    },
    askForEvents: async (asked) => carried(network.newChaincodeEventsRequest(given.chaincode, start(asked))),
    events: async (asked) => {
        const request = opened.newSignedChaincodeEventsRequest(bytes(asked.bytes), bytes(asked.signature));
        const event = await first(await request.getEvents());
        return { name: event.eventName, transactionId: event.transactionId, block: Number(event.blockNumber) };
    },
    askForBlocks: async (asked) => carried(network.newFilteredBlockEventsRequest(start(asked))),
    blocks: async (asked) => {
        const request = opened.newSignedFilteredBlockEventsRequest(bytes(asked.bytes), bytes(asked.signature));
        return { number: (await first(await request.getEvents())).getNumber() };
    },
    checkpoint: async (asked) => {
        const checkpointer = await checkpointers.file(asked.path);
        const found = [checkpointer.getBlockNumber()?.toString() ?? null, checkpointer.getTransactionId() ?? null];
        if (asked.transactionId) {
            await checkpointer.checkpointTransaction(BigInt(asked.block), asked.transactionId);
        } else if (asked.block) {
            await checkpointer.checkpointBlock(BigInt(asked.block));
        }
        return { found };
    },
};

for await (const line of readline.createInterface({ input: process.stdin })) {
    const asked = JSON.parse(line);
    console.log(JSON.stringify(await calls[asked.call](asked)));
}
opened.close();
client.close();
