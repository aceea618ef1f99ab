"""The Fabric Gateway client: the object a caller holds is the stage its transaction is at."""
