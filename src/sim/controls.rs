//! What both simulators' handles offer alike: faults, the record of calls,
//! waiting. A macro, so that callers need no trait in scope.

/// Gives `$handle` those methods; its world is at `self.$($world)+`.
macro_rules! simulator_controls {
    ($handle:ty, $world_type:ty, $($world:ident).+) => {
        impl $handle {
            /// Adds a fault; see [`Fault`](crate::sim::Fault).
            pub fn fault(&self, fault: crate::sim::Fault) {
                self.$($world).+.change(|world| world.ledger().faults.add(None, fault));
            }

            /// Adds a fault for the calls whose path names this id: of a conversation, or
            /// of an item.
            pub fn fault_about(&self, id: &str, fault: crate::sim::Fault) {
                let about = Some(id.to_owned());
                self.$($world).+.change(|world| world.ledger().faults.add(about, fault));
            }

            /// Spoils the next call of an operation.
            pub fn spoil_next(&self, operation: crate::sim::Operation, what: crate::sim::What) {
                let when = crate::sim::When::Next(1);
                self.fault(crate::sim::Fault { operation: Some(operation), when, what });
            }

            /// Holds the next call of an operation before its effect.
            pub fn hold_next(&self, operation: crate::sim::Operation) -> crate::sim::Hold {
                let (gate, hold) = crate::sim::Gate::new();
                self.spoil_next(operation, crate::sim::What::Hold(gate));
                hold
            }

            /// Holds the answer of the next call of an operation, after its effect.
            pub fn hold_next_answer(&self, operation: crate::sim::Operation) -> crate::sim::Hold {
                let (gate, hold) = crate::sim::Gate::new();
                self.spoil_next(operation, crate::sim::What::HoldAnswer(gate));
                hold
            }

            /// Forgets all faults. A call that a fault has already caught stays caught.
            pub fn clear_faults(&self) {
                self.$($world).+.change(|world| world.ledger().faults.clear());
            }

            /// Refuses every call from now on.
            pub fn down(&self, outage: crate::sim::Outage) {
                self.$($world).+.change(|world| world.ledger().faults.outage = Some(outage));
            }

            /// Ends [`down`](Self::down).
            pub fn up(&self) {
                self.$($world).+.change(|world| world.ledger().faults.outage = None);
            }

            /// The calls so far, in the order of their arrival.
            pub fn requests(&self) -> Vec<crate::sim::RecordedRequest> {
                self.$($world).+.read(|world| world.requests().to_vec())
            }

            /// The calls of one operation so far.
            pub fn requests_of(&self, operation: crate::sim::Operation) -> usize {
                self.$($world).+.read(|world| world.requests_of(operation))
            }

            /// Waits until `look` finds something in the world. It is asked
            /// again after every change, and must not call the handle.
            pub async fn wait_until<T>(&self, look: impl FnMut(&$world_type) -> Option<T>) -> T {
                self.$($world).+.wait_until(look).await
            }

            /// Waits until `holds` does.
            pub async fn wait_for(&self, mut holds: impl FnMut(&$world_type) -> bool) {
                self.wait_until(|world| holds(world).then_some(())).await;
            }

            /// Counts the changes of the world, for a caller that shows what is new.
            pub fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
                self.$($world).+.changes()
            }
        }

        impl $world_type {
            /// The calls so far, in the order of their arrival.
            pub fn requests(&self) -> &[crate::sim::RecordedRequest] {
                &self.ledger.requests
            }

            /// The calls of one operation so far.
            pub fn requests_of(&self, operation: crate::sim::Operation) -> usize {
                self.requests().iter().filter(|request| request.operation == operation).count()
            }

            /// The calls being served now.
            pub fn in_flight(&self) -> usize {
                self.ledger.in_flight
            }

            /// The most calls that were ever served at once.
            pub fn max_in_flight(&self) -> usize {
                self.ledger.max_in_flight
            }
        }
    };
}

pub(crate) use simulator_controls;
