// How these programs reach the network: one JSON object in the environment says where and as whom.

import * as crypto from 'node:crypto';
import { promises as fs } from 'node:fs';
import * as path from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { connect, hash, signers } from '@hyperledger/fabric-gateway';

export const given = JSON.parse(process.env.HEALTHCHAIN_SDK);

const only = async (folder) => path.join(folder, (await fs.readdir(folder))[0]);

export async function identity(user = given.user) {
    const credentials = await fs.readFile(await only(path.join(user, 'msp', 'signcerts')));
    return { mspId: given.mspId, credentials };
}

export async function privateKey(user = given.user) {
    return crypto.createPrivateKey(await fs.readFile(await only(path.join(user, 'msp', 'keystore'))));
}

export async function channel(certificates) {
    const roots = await fs.readFile(given.tlsRoot);
    const own = certificates ? [await fs.readFile(certificates.key), await fs.readFile(certificates.certificate)] : [];
    return new grpc.Client(given.address, grpc.credentials.createSsl(roots, ...own));
}

export async function gateway(options = {}) {
    const client = options.client ?? (await channel());
    const opened = connect({
        client,
        identity: await identity(options.user),
        signer: options.offline ? undefined : signers.newPrivateKeySigner(await privateKey(options.user)),
        hash: hash.sha256,
        ...options.more,
    });
    return { client, gateway: opened, network: opened.getNetwork(given.channel) };
}

export function report(facts) {
    console.log(JSON.stringify(facts));
}
