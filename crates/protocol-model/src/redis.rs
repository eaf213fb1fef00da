/// Marks of the nodes, one bit each.
pub(crate) type NodeSet = u8;

/// One more than any life's notices in the bounds that the tests use.
const NOTICES: usize = 8;

/// What Redis holds of the partition, and the notices it ever sent.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) struct Redis<const NODES: usize> {
    /// The incarnation, which is the index of its life.
    pub(crate) incarnation: u8,
    /// The lives so far. Their notices are never taken off the network: a node may hear each of
    /// them at any time, in any order, again, or never.
    pub(crate) lives: [Life; 3],
    /// The number that an entry must have been loaded at or after, of this life; `None` when the
    /// fence is missing.
    pub(crate) fence: Option<u8>,
    /// The hold of each write, within the fence.
    pub(crate) holds: [Hold; 2],
    /// By the number of its look, the oldest version that a load of this life writes to level 2. It
    /// may be written there at any time, again and again.
    pub(crate) loaded: [Option<u8>; NOTICES],
    /// Pulses of each registered node; 0 is not registered.
    pub(crate) registry: [u8; NODES],
    /// No lease-time has passed since the rebirth.
    pub(crate) young: bool,
    /// A raise has been told and its fence not raised: only in a planted bug.
    pub(crate) fence_owed: bool,
}

/// The notices of one life, in the order of their numbers, which begin at 1.
#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq)]
pub(crate) struct Life([Option<Notice>; NOTICES]);

impl Life {
    pub(crate) fn number(&self) -> u8 {
        self.0.iter().flatten().count() as u8
    }

    pub(crate) fn notice(&self, number: u8) -> Option<Notice> {
        self.0[usize::from(number) - 1]
    }

    fn send(&mut self, notice: Notice) {
        self.0[usize::from(self.number())] = Some(notice);
    }
}

/// What a notice is about.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Our scope, raised for this write.
    Ours { write: u8 },
    /// Another scope of the partition.
    Other,
}

/// A write's hold in Redis.
#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq)]
pub(crate) enum Hold {
    #[default]
    Absent,
    Standing,
}

impl<const NODES: usize> Redis<NODES> {
    pub(crate) fn new() -> Self {
        Self {
            incarnation: 0,
            lives: [Life::default(); 3],
            fence: None,
            holds: [Hold::Absent; 2],
            loaded: [None; NOTICES],
            registry: [0; NODES],
            young: false,
            fence_owed: false,
        }
    }

    pub(crate) fn life(&self) -> &Life {
        &self.lives[usize::from(self.incarnation)]
    }

    pub(crate) fn number(&self) -> u8 {
        self.life().number()
    }

    /// Counts a notice and sends it.
    pub(crate) fn send(&mut self, notice: Notice) -> u8 {
        self.lives[usize::from(self.incarnation)].send(notice);
        self.number()
    }

    pub(crate) fn held(&self) -> bool {
        self.holds.contains(&Hold::Standing)
    }

    /// The oldest version that a look may find in level 2 and use.
    pub(crate) fn oldest_valid(&self) -> Option<u8> {
        let from = usize::from(self.fence.unwrap_or(0));
        self.loaded[from..].iter().flatten().min().copied()
    }

    /// Loses the fence, and with it the holds.
    pub(crate) fn evict_fence(&mut self) {
        self.fence = None;
        self.holds = [Hold::Absent; 2];
    }

    /// Begins a life. What level 2 holds of the former one is never valid again.
    pub(crate) fn rebirth(&mut self) {
        self.incarnation += 1;
        self.loaded = [None; NOTICES];
        self.evict_fence();
        self.registry = [0; NODES];
        self.young = true;
    }

    /// Begins a life that cannot be told from the one before.
    pub(crate) fn reset(&mut self) {
        self.lives[usize::from(self.incarnation)] = Life::default();
        self.evict_fence();
        self.registry = [0; NODES];
    }

    pub(crate) fn registered(&self) -> NodeSet {
        let mut set = 0;
        for (node, pulses) in self.registry.iter().enumerate() {
            set |= u8::from(*pulses > 0) << node;
        }
        set
    }
}
