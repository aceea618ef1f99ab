// Chaincode events and block events, live and again from a checkpoint.

import { promises as fs } from 'node:fs';
import { checkpointers } from '@hyperledger/fabric-gateway';
import { gateway, given, report } from './client.mjs';

const { client, gateway: opened, network } = await gateway();
const contract = network.getContract(given.chaincode);

async function take(events, count) {
    const found = [];
    try {
        for await (const event of events) {
            found.push(event);
            if (found.length === count) {
                break;
            }
        }
    } finally {
        events.close();
    }
    return found;
}

const told = (event) => [event.eventName, Buffer.from(event.payload).toString()];
const number = (block) => Number(block.getHeader().getNumber());

const live = await network.getChaincodeEvents(given.chaincode);
for (const name of ['one', 'two', 'three']) {
    await contract.submitTransaction('Say', name, `payload of ${name}`);
}
const events = await take(live, 3);

const checkpointer = await checkpointers.file(given.checkpoint);
await checkpointer.checkpointChaincodeEvent(events[0]);
const stored = await checkpointers.file(given.checkpoint);
const resumed = await take(await network.getChaincodeEvents(given.chaincode, { checkpoint: stored }), 2);

const first = Number(events[0].blockNumber);
const blocks = await take(await network.getBlockEvents({ startBlock: BigInt(first) }), 2);
const inMemory = checkpointers.inMemory();
await inMemory.checkpointBlock(BigInt(first));
const [following] = await take(await network.getBlockEvents({ checkpoint: inMemory }), 1);
const filtered = await take(await network.getFilteredBlockEvents({ startBlock: BigInt(first) }), 1);
const [withPrivate] = await take(
    await (await gateway({ client, user: given.administrator })).network.getBlockAndPrivateDataEvents({
        startBlock: BigInt(given.privateBlock),
    }),
    1
);

const liveBlocks = await network.getBlockEvents();
await contract.submitTransaction('Put', 'k', 'v');
const [newest] = await take(liveBlocks, 1);

report({
    events: events.map(told),
    resumed: resumed.map(told),
    checkpointed: JSON.parse(await fs.readFile(given.checkpoint, 'utf8')).transactionId === events[0].transactionId,
    blocks: blocks.map((one) => number(one) - first),
    following: number(following) - first,
    filtered: filtered.map((one) => one.getFilteredTransactionsList()[0].getTxid() === events[0].transactionId),
    privateCollections: withPrivate
        .getPrivateDataMapMap()
        .get(0)
        .getNsPvtRwsetList()[0]
        .getCollectionPvtRwsetList()
        .map((one) => one.getCollectionName()),
    newest: number(newest) > Number(events[2].blockNumber),
});
opened.close();
client.close();
