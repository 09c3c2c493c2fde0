//! The testing kit: a fake tenant, the simulator, the attack pack, `explain`.

mod attack;
mod conformance;
mod explain;
mod kit;
mod simulator;
mod tenant_key;
