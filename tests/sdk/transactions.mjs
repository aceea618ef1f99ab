// Submit, evaluate, each stage by itself, offline signing, private data.

import { signers } from '@hyperledger/fabric-gateway';
import { gateway, given, privateKey, report } from './client.mjs';

const text = (bytes) => Buffer.from(bytes).toString();
const { client, gateway: opened, network } = await gateway();
const contract = network.getContract(given.chaincode);

const added = await contract.submitTransaction('Add', 'n');
const got = await contract.evaluateTransaction('Get', 'n');

const proposal = contract.newProposal('Put', { arguments: ['staged', 'yes'] });
const transaction = await proposal.endorse();
const commit = await transaction.submit();
const status = await commit.getStatus();

const sign = signers.newPrivateKeySigner(await privateKey());
const signed = (stage) => sign(stage.getDigest());
const elsewhere = await gateway({ client, offline: true });
const remote = elsewhere.gateway;
const unsigned = elsewhere.network.getContract(given.chaincode).newProposal('Put', { arguments: ['offline', 'yes'] });
const proposed = remote.newSignedProposal(unsigned.getBytes(), await signed(unsigned));
const endorsed = await proposed.endorse();
const prepared = remote.newSignedTransaction(endorsed.getBytes(), await signed(endorsed));
const sent = await prepared.submit();
const asked = remote.newSignedCommit(sent.getBytes(), await signed(sent));
const offline = await asked.getStatus();

await contract.submit('PutPrivate', {
    arguments: [given.collection, 'p'],
    transientData: { value: 'kept secret' },
    endorsingOrganizations: given.endorsers,
});
const secret = await contract.evaluate('GetPrivate', { arguments: [given.collection, 'p'] });

const qscc = network.getContract('qscc');
const info = await qscc.evaluateTransaction('GetChainInfo', given.channel);

report({
    added: text(added),
    got: text(got),
    staged: { successful: status.successful, code: status.code, sameId: status.transactionId === proposal.getTransactionId() },
    offline: { successful: offline.successful, value: text(await contract.evaluateTransaction('Get', 'offline')) },
    secret: text(secret),
    chainInfo: info.length > 60,
});
opened.close();
remote.close();
client.close();
