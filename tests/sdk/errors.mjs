// Each error class of the SDK, with the gRPC status and the details that it carries.

import * as grpc from '@grpc/grpc-js';
import { CommitError, connect, signers } from '@hyperledger/fabric-gateway';
import { gateway, given, identity, privateKey, report } from './client.mjs';

const { client, gateway: opened, network } = await gateway();
const contract = network.getContract(given.chaincode);

async function failure(call) {
    try {
        await call();
    } catch (error) {
        return {
            class: error.constructor.name,
            status: error instanceof CommitError ? `validation code ${error.code}` : grpc.status[error.code],
            details: (error.details ?? []).map((one) => `${one.mspId}: ${one.message}`),
        };
    }
    return 'no failure';
}

async function forged(mspId) {
    const signer = signers.newPrivateKeySigner(await privateKey());
    const other = connect({ client, identity: { ...(await identity()), mspId }, signer });
    return other.getNetwork(given.channel).getContract(given.chaincode);
}

const hasty = await gateway({ client, more: { chaincodeEventsOptions: () => ({ deadline: Date.now() + 200 }) } });
const endorsed = await contract.newProposal('Put', { arguments: ['k', 'v'] }).endorse();

report({
    evaluate: await failure(() => contract.evaluateTransaction('Refuse', 'NO')),
    endorse: await failure(() => contract.submitTransaction('Refuse', 'NO')),
    unknownChaincode: await failure(() => network.getContract('none').submitTransaction('Put', 'k', 'v')),
    unknownChannel: await failure(() => opened.getNetwork('other').getContract(given.chaincode).submitTransaction('Put')),
    unknownOrganisation: await failure(() => contract.submit('Put', { arguments: ['k', 'v'], endorsingOrganizations: ['NobodyMSP'] })),
    stranger: await failure(async () => (await forged('NobodyMSP')).submitTransaction('Put', 'k', 'v')),
    impostor: await failure(async () => (await forged(given.otherMspId)).evaluateTransaction('Get', 'k')),
    submit: await failure(async () => {
        const bytes = endorsed.getBytes();
        return opened.newSignedTransaction(bytes, Buffer.from('false signature')).submit();
    }),
    commit: await failure(() =>
        contract.submit('Put', { arguments: ['k', 'v'], endorsingOrganizations: [given.mspId] })
    ),
    commitStatus: await failure(async () => {
        const commit = await endorsed.submit();
        return opened.newSignedCommit(commit.getBytes(), Buffer.from('false signature')).getStatus();
    }),
    events: await failure(async () => {
        const events = await opened.getNetwork('other').getChaincodeEvents(given.chaincode);
        for await (const _ of events) {
            break;
        }
    }),
    deadline: await failure(async () => {
        const events = await hasty.network.getChaincodeEvents(given.chaincode);
        for await (const _ of events) {
            break;
        }
    }),
});
opened.close();
hasty.gateway.close();
client.close();
