/// A wrong variant of the protocol, of which the model must find a counterexample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Planted {
    /// A reborn Redis counts from zero again under the incarnation it had.
    NumberReset,
    /// An entry of level 1 is served whether or not the node holds a lease.
    NoLeaseCheck,
    /// A node that missed a notice goes on as if it had not.
    NoGapCheck,
    /// An entry of level 1 is kept under the fences as they stand after its load.
    GuardsAfterLoad,
    /// An entry of level 2 carries the number as it is after its load.
    NumberAfterLoad,
    /// Nodes and the writer hear of an invalidation before its fence is raised.
    NoticeBeforeFence,
    /// A fence that Redis lost counts as one that stands.
    MissingFenceAccepted,
    /// A node that slept goes on with the lease it had: its clock stood still meanwhile.
    LeaseOutlivesSleep,
    /// A load that found a hold is shared with readers that come later.
    LoadSharedUnderHold,
    /// An acknowledgement counts in a life that it was not given in.
    AcknowledgementWithoutIncarnation,
    /// A lease begins when the reply to its pulse arrives.
    LeaseFromReply,
    /// A writer trusts the registry of a Redis that has only just been reborn.
    NoWaitInYoungLife,
    /// Nobody is waited for: what Redis confirmed counts as confirmed.
    NoWait,
    /// A commit follows its hold without waiting for the other nodes.
    HoldNotAwaited,
    /// A hold leaves the fences of the writer's own node as they are.
    HoldWithoutLocalFence,
    /// A node asks level 2 while an invalidation of its own waits to be raised there.
    LevelTwoAskedBeforeRaise,
    /// The registry counts the pulses of a node from one whenever it registers anew, and a writer
    /// takes out a node whose count is what it was.
    PulsesCountedPerRegistration,
    /// The registry can be lost without the rest of the state.
    RegistryEvictedAlone,
    /// A hold that is raised again has the id of the first attempt, which may still arrive.
    HoldIdReused,
}
