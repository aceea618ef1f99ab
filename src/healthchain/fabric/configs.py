"""orderer.yaml and core.yaml of each node, as JSON, which is YAML too.

Source: Fabric sampleconfig/{orderer,core}.yaml; what is left out keeps its default there. Listed is what has none, and
what differs: an erased value leaves the private data store with the next block (`purgeInterval`; docs/fabric.md says
what that is worth), and peers of one machine look for each other more often. Paths are relative to the file's folder,
where its node runs.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from healthchain.fabric.hosts import host_and_port
from healthchain.fabric.nodes import Member

BCCSP = {"Default": "SW", "SW": {"Hash": "SHA2", "Security": 256}}
MESSAGE_BYTES_MAX = 100 << 20
QUICK_GOSSIP = {
    "aliveTimeInterval": "1s",
    "aliveExpirationTimeout": "10s",
    "reconnectInterval": "2s",
    "publishStateInfoInterval": "1s",
    "requestStateInfoInterval": "1s",
}


def write_configs(member: Member, builder: Path) -> None:
    for file, content in node_configs(member, builder).items():
        path = member.folder / file
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_bytes(content)


def node_configs(member: Member, builder: Path) -> dict[str, bytes]:
    """By their places in the member's folder; nothing is read."""
    configs = {"orderer/orderer.yaml": _orderer(member), "peer/core.yaml": _core(member, builder)}
    return {file: json.dumps(config, indent=1).encode() + b"\n" for file, config in configs.items()}


def _orderer(member: Member) -> dict[str, Any]:
    credentials = Path(os.path.relpath(member.credentials.orderer, member.folder / "orderer"))
    certificate, key = str(credentials / "tls" / "server.crt"), str(credentials / "tls" / "server.key")
    roots = [str(credentials / "tls" / "ca.crt")]
    tls = {"Enabled": True, "PrivateKey": key, "Certificate": certificate, "RootCAs": roots}
    return {
        "General": {
            "ListenAddress": member.nodes.listen,
            "ListenPort": host_and_port(member.orderer)[1],
            "TLS": {**tls, "ClientAuthRequired": False},
            "Keepalive": {"ServerMinInterval": "60s", "ServerInterval": "7200s", "ServerTimeout": "20s"},
            "MaxRecvMsgSize": MESSAGE_BYTES_MAX,
            "MaxSendMsgSize": MESSAGE_BYTES_MAX,
            "BootstrapMethod": "none",
            "Cluster": {"SendBufferSize": 100, "ClientCertificate": certificate, "ClientPrivateKey": key},
            "LocalMSPDir": str(credentials / "msp"),
            "LocalMSPID": member.msp_id,
            "BCCSP": BCCSP,
            "Authentication": {"TimeWindow": "15m"},
        },
        "FileLedger": {"Location": "ledger"},
        "Operations": {"ListenAddress": member.nodes.orderer_operations, "TLS": {"Enabled": False}},
        "Metrics": {"Provider": _metrics(member)},
        "Admin": {
            "ListenAddress": member.orderer_admin,
            "TLS": {
                "Enabled": True,
                "PrivateKey": key,
                "Certificate": certificate,
                "RootCAs": roots,
                "ClientAuthRequired": True,
                "ClientRootCAs": roots,
            },
        },
        "ChannelParticipation": {"Enabled": True, "MaxRequestBodySize": "4 MB"},
        "Consensus": {"WALDir": "wal", "SnapDir": "snapshot"},
    }


def _core(member: Member, builder: Path) -> dict[str, Any]:
    credentials = Path(os.path.relpath(member.credentials.peer, member.folder / "peer"))
    return {
        "peer": {
            "id": credentials.name,
            "networkId": "healthchain",
            "listenAddress": f"{member.nodes.listen}:{member.port}",
            "address": member.peer,
            "chaincodeListenAddress": member.nodes.callback,
            "gateway": {
                "enabled": True,
                "endorsementTimeout": "30s",
                "broadcastTimeout": "30s",
                "dialTimeout": "30s",
            },
            "keepalive": {
                "interval": "7200s",
                "timeout": "20s",
                "minInterval": "60s",
                "client": {"interval": "60s", "timeout": "20s"},
                "deliveryClient": {"interval": "60s", "timeout": "20s"},
            },
            "gossip": {
                "bootstrap": member.peer,
                "endpoint": member.peer,
                "externalEndpoint": member.peer,
                "useLeaderElection": False,
                "orgLeader": True,
                **({} if member.nodes.folder else QUICK_GOSSIP),
                "state": {"enabled": False},
                "pvtData": {
                    "pullRetryThreshold": "60s",
                    "transientstoreMaxBlockRetention": 20000,
                    "pushAckTimeout": "3s",
                    "btlPullMargin": 10,
                    "reconcileBatchSize": 10,
                    "reconcileSleepInterval": "10s",
                    "reconciliationEnabled": True,
                },
            },
            "tls": {
                "enabled": True,
                "clientAuthRequired": False,
                "cert": {"file": str(credentials / "tls" / "server.crt")},
                "key": {"file": str(credentials / "tls" / "server.key")},
                "rootcert": {"file": str(credentials / "tls" / "ca.crt")},
            },
            "authentication": {"timewindow": "15m"},
            "fileSystemPath": "ledger",
            "BCCSP": BCCSP,
            "mspConfigPath": str(credentials / "msp"),
            "localMspId": member.msp_id,
            "localMspType": "bccsp",
            "client": {"connTimeout": "5s"},
            "deliveryclient": {
                "reconnectTotalTimeThreshold": "3600s",
                "connTimeout": "3s",
                "reConnectBackoffThreshold": "10s",
                "blockCensorshipTimeoutKey": "30s",
                "minimalReconnectInterval": "100ms",
                "policy": "cluster",
            },
            "handlers": {
                "authFilters": [{"name": "DefaultAuth"}, {"name": "ExpirationCheck"}, {"name": "TimeWindowCheck"}],
                "decorators": [{"name": "DefaultDecorator"}],
                "endorsers": {"escc": {"name": "DefaultEndorsement"}},
                "validators": {"vscc": {"name": "DefaultValidation"}},
            },
            "discovery": {
                "enabled": True,
                "authCacheEnabled": True,
                "authCacheMaxSize": 1000,
                "authCachePurgeRetentionRatio": 0.75,
            },
            "limits": {"concurrency": {"endorserService": 2500, "deliverService": 2500, "gatewayService": 500}},
            "maxRecvMsgSize": MESSAGE_BYTES_MAX,
            "maxSendMsgSize": MESSAGE_BYTES_MAX,
        },
        "vm": {"endpoint": ""},
        "chaincode": {
            "externalBuilders": [{"name": "service", "path": os.path.relpath(builder, member.folder / "peer")}],
            "installTimeout": "60s",
            "startuptimeout": "60s",
            "executetimeout": "30s",
            "mode": "net",
            "keepalive": 0,
            "system": {"_lifecycle": "enable", "cscc": "enable", "lscc": "enable", "qscc": "enable"},
            "logging": {"level": "info", "shim": "warning"},
            "runtimeParams": {
                "useWriteBatch": True,
                "maxSizeWriteBatch": 1000,
                "useGetMultipleKeys": True,
                "maxSizeGetMultipleKeys": 1000,
            },
        },
        "ledger": {
            "state": {"stateDatabase": "goleveldb", "totalQueryLimit": 100000},
            "history": {"enableHistoryDatabase": True},
            "pvtdataStore": {
                "collElgProcMaxDbBatchSize": 5000,
                "collElgProcDbBatchesInterval": 1000,
                "deprioritizedDataReconcilerInterval": "1m",
                "purgeInterval": 1,
                "purgedKeyAuditLogging": False,
            },
        },
        "operations": {"listenAddress": member.nodes.peer_operations, "tls": {"enabled": False}},
        "metrics": {"provider": _metrics(member)},
    }


def _metrics(member: Member) -> str:
    return "prometheus" if member.nodes.folder else "disabled"
