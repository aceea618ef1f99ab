// Mutual TLS: a block request is bound to the client's certificate, and refused where it names another.

import { createHash, X509Certificate } from 'node:crypto';
import { promises as fs } from 'node:fs';
import { channel, gateway, given, report } from './client.mjs';

const certificate = new X509Certificate(await fs.readFile(given.certificates.certificate));
const client = await channel(given.certificates);

async function firstBlock(tlsClientCertificateHash) {
    const { gateway: opened, network } = await gateway({ client, more: { tlsClientCertificateHash } });
    await network.getContract(given.chaincode).submitTransaction('Put', 'k', 'v');
    const events = await network.getFilteredBlockEvents({ startBlock: 0n });
    try {
        for await (const block of events) {
            return block.getNumber();
        }
    } catch (error) {
        return error.message;
    } finally {
        events.close();
        opened.close();
    }
}

report({
    own: await firstBlock(createHash('sha256').update(certificate.raw).digest()),
    other: await firstBlock(Buffer.alloc(32)),
    none: await firstBlock(undefined),
});
client.close();
