'use strict';

const { WorkloadModuleBase } = require('@hyperledger/caliper-core');

/** Any member's people may ask who the members are: a query that changes nothing. */
class List extends WorkloadModuleBase {
    async submitTransaction() {
        await this.sutAdapter.sendRequests({
            contractId: 'ehr',
            contractFunction: 'members:List',
            contractArguments: ['{}'],
            readOnly: true,
        });
    }
}

module.exports.createWorkloadModule = () => new List();
