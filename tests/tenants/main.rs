//! Many tenants on one engine: they share its instances and connections, and affect each other in nothing else.

mod budgets;
mod fairness;
mod registry;
mod stores;
