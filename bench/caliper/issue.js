'use strict';

const { WorkloadModuleBase } = require('@hyperledger/caliper-core');

const YEAR_MS = 365 * 24 * 60 * 60 * 1000;

/** The agency licenses practitioners, each another one, so that no two transactions conflict. */
class Issue extends WorkloadModuleBase {
    constructor() {
        super();
        this.issued = 0;
    }

    async submitTransaction() {
        this.issued += 1;
        const now = Date.now();
        const licence = {
            holder: `GeneralHospitalMSP/caliper-${this.workerIndex}-${process.pid}-${this.issued}`,
            number: `C${process.pid}-${this.issued}`,
            acts: ['record'],
            start_ms: now,
            end_ms: now + YEAR_MS,
        };
        await this.sutAdapter.sendRequests({
            contractId: 'ehr',
            contractFunction: 'licences:Issue',
            contractArguments: [JSON.stringify(licence)],
            readOnly: false,
        });
    }
}

module.exports.createWorkloadModule = () => new Issue();
