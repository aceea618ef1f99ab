'use strict';

// Each function makes one kind of call of the shim, so that a test can tell which one a peer answers wrongly. What is no
// text is returned as JSON.

const { Contract } = require('fabric-contract-api');
const { KeyEndorsementPolicy } = require('fabric-shim');

const text = (bytes) => Buffer.from(bytes).toString('utf8');

async function rows(iterator) {
    const found = [];
    for await (const { key, value } of iterator) {
        found.push([key, text(value)]);
    }
    return found;
}

class Ledger extends Contract {
    async Put(context, key, value) {
        await context.stub.putState(key, Buffer.from(value));
    }

    async Get(context, key) {
        return text(await context.stub.getState(key));
    }

    async Delete(context, key) {
        await context.stub.deleteState(key);
    }

    async PutMany(context, prefix, count) {
        for (let index = 0; index < Number(count); index++) {
            await context.stub.putState(prefix + String(index).padStart(4, '0'), Buffer.from(String(index)));
        }
    }

    async Range(context, start, end) {
        return JSON.stringify(await rows(context.stub.getStateByRange(start, end)));
    }

    async FirstOfRange(context, start, end) {
        for await (const { key } of context.stub.getStateByRange(start, end)) {
            return key;
        }
        return '';
    }

    async Page(context, start, end, size, bookmark) {
        const { iterator, metadata } = await context.stub.getStateByRangeWithPagination(start, end, Number(size), bookmark);
        const found = [];
        for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
            found.push(next.value.key);
        }
        return JSON.stringify({ found, count: metadata.fetchedRecordsCount, bookmark: metadata.bookmark });
    }

    async PutComposite(context, type, attributes) {
        await context.stub.putState(context.stub.createCompositeKey(type, JSON.parse(attributes)), Buffer.from('composite'));
    }

    async Composites(context, type, attributes) {
        const found = [];
        for await (const { key } of context.stub.getStateByPartialCompositeKey(type, JSON.parse(attributes))) {
            found.push(context.stub.splitCompositeKey(key).attributes);
        }
        return JSON.stringify(found);
    }

    async History(context, key) {
        const found = [];
        for await (const { txId, timestamp, value, isDelete } of context.stub.getHistoryForKey(key)) {
            found.push({ txId, seconds: Number(timestamp.seconds), value: text(value), isDelete });
        }
        return JSON.stringify(found);
    }

    async PutPrivate(context, collection, key) {
        await context.stub.putPrivateData(collection, key, context.stub.getTransient().get('value'));
    }

    async GetPrivate(context, collection, key) {
        return text(await context.stub.getPrivateData(collection, key));
    }

    async PrivateHash(context, collection, key) {
        return Buffer.from(await context.stub.getPrivateDataHash(collection, key)).toString('hex');
    }

    async DeletePrivate(context, collection, key) {
        await context.stub.deletePrivateData(collection, key);
    }

    async Purge(context, collection, key) {
        await context.stub.purgePrivateData(collection, key);
    }

    async PrivateRange(context, collection, start, end) {
        return JSON.stringify(await rows(context.stub.getPrivateDataByRange(collection, start, end)));
    }

    async WriteAndPrivateRange(context, collection) {
        await context.stub.putState('k', Buffer.from('v'));
        return JSON.stringify(await rows(context.stub.getPrivateDataByRange(collection, '', '')));
    }

    // The organisations whose peers have to endorse changes of a key; "" is the collection of public keys.
    async Require(context, collection, key, organisations) {
        const policy = new KeyEndorsementPolicy();
        policy.addOrgs('PEER', ...JSON.parse(organisations));
        if (collection) {
            await context.stub.setPrivateDataValidationParameter(collection, key, policy.getPolicy());
        } else {
            await context.stub.setStateValidationParameter(key, policy.getPolicy());
        }
    }

    async RequireNobody(context, key) {
        await context.stub.setStateValidationParameter(key, Buffer.alloc(0));
    }

    async PutAndRequire(context, key, value, organisations) {
        await this.Put(context, key, value);
        await this.Require(context, '', key, organisations);
    }

    async Required(context, collection, key) {
        const policy = collection
            ? await context.stub.getPrivateDataValidationParameter(collection, key)
            : await context.stub.getStateValidationParameter(key);
        return JSON.stringify(policy && policy.length ? new KeyEndorsementPolicy(policy).listOrgs() : []);
    }

    async Say(context, name, payload) {
        await context.stub.putState(name, Buffer.from(payload));
        context.stub.setEvent(name, Buffer.from(payload));
    }

    async Who(context) {
        const { stub, clientIdentity } = context;
        return JSON.stringify({
            msp: clientIdentity.getMSPID(),
            role: clientIdentity.getAttributeValue('hc.role'),
            channel: stub.getChannelID(),
            txId: stub.getTxID(),
            seconds: Number(stub.getTxTimestamp().seconds),
        });
    }

    async Call(context, chaincode, args) {
        const response = await context.stub.invokeChaincode(chaincode, JSON.parse(args), context.stub.getChannelID());
        return JSON.stringify({ status: response.status, message: response.message, payload: text(response.payload) });
    }

    async Throw() {
        throw new Error('the chaincode says no');
    }

    async Hang() {
        await new Promise(() => {});
    }

    async Crash() {
        process.exit(1);
    }

    async Query(context) {
        return JSON.stringify(await rows(context.stub.getQueryResult('{}')));
    }
}

exports.contracts = [Ledger];
