//! The bugs that are planted, each of which has to be found in the set-up named beside it
//! (`model.rs`).

/// A bug to plant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    None,

    // Reserve, publish, count, switch.
    /// The reader looks at the local counter alone.
    ReaderIgnoresRemote,
    /// Count adds locally wherever the thread runs; a plain load and store then.
    CountWithoutCpuCheck,
    /// The record is counted before it is published.
    CountBeforePublish,
    /// Reserve moves the position before it writes the header.
    CommitBeforeHeader,
    /// "Closed" is "has a content", whatever stands there.
    ContentAloneIsClosed,
    /// A switch does not look whether the position is still the one it saw.
    SwitchWithoutCompare,
    /// A count does not look at the lap.
    CountWithoutLap,

    // Places: free, passed over, parked.
    /// Open does not look whether the place is free.
    OpenWithoutRoom,
    /// A place is free that was ever released, whatever has been in it since.
    FreeWithoutLap,
    /// A place that is held is passed over although no later one is free.
    PassOverBlindly,
    /// Passing over compares the position alone, and not what was in the place.
    PassOverComparesPosition,
    /// The same in overwrite mode: compares the lap, and not whether its loss was counted.
    PassOverComparesLocal,
    /// A place that was passed over counts as one that was left without being closed.
    CloseFullOnPassed,
    /// The reader takes a number the lane has passed for opened, without a look at the lap.
    ReadPassed,
    /// Parking releases the place.
    ParkingReleases,

    // Death in a shared buffer.
    /// A slot is buried while its process lives.
    BuryTheLiving,
    /// A tombstone is counted on behalf of the dead.
    TombstoneCounted,
    /// A sub-buffer is declared done although a busy record is left in it.
    DeclareWithBusyRecord,
    /// A sub-buffer is declared done although its padding is busy.
    DeclareWithBusyPadding,
    /// Nothing is judged by headers: what lacks of a count is waited for.
    NeverJudged,

    // Overwrite mode.
    /// A place is opened again although its last lap is not whole.
    OverwriteUnchecked,
    /// The events of the lap that goes are counted behind the counters' reset.
    OverwrittenCountedLate,
    /// The count of overwritten events does not say for which lap it was made.
    OverwrittenUntagged,
    /// Whether the count was made is looked at before the records that it would count.
    CountedReadFirst,
    /// A declared lap is counted as overwritten by its counters, which lack.
    OverwrittenByCounters,
    /// A snapshot keeps what it copied without a second look at the place.
    NoSecondLook,
    /// A place is opened although a snapshot pinned it.
    PinIgnored,
    /// A pin is looked at before the counters, between which a burial may begin.
    PinLookedAtFirst,

    // Atomic lanes.
    /// Free words do not say for which number they are free.
    EmptyWithoutNumber,
    /// A filler says "ready" although the place was passed over meanwhile.
    FinishPassed,
    /// A place that a dead filler left is not given up.
    DeadFillerStays,
    /// A number is passed over by moving the position, without a word in the place.
    PassOverByPosition,
    /// A place is passed over for a number that is over, and ready for a later one.
    PassPlaceLate,
    /// A lap is begun that is over.
    BeginLapLate,
    /// A place is claimed for a number that is over.
    ClaimWithoutOrder,
    /// Fresh memory reads as the lap of number 0.
    FreshIsLapZero,
    /// A place is new only to the numbers of the first lap.
    NeverOpenedByNumber,
    /// `bury` stops at the position, behind which a claimed header may stand.
    BuryStopsAtPosition,

    // Takeover.
    /// A new reader goes on at what was said in memory, whatever is on disk.
    TakeoverWithoutDisk,
    /// A new reader forgets what was parked.
    TakeoverForgetsParked,
    /// A new reader reads a sub-buffer that was released.
    TakeoverReadsReleased,
    /// A new reader leaves the pins of a dead one where they are.
    PinsStay,
    /// A sub-buffer is released before its packet is on disk.
    ReleaseBeforeWrite,
}

impl Bug {
    pub(crate) const ALL: [Bug; 43] = [
        Bug::ReaderIgnoresRemote,
        Bug::CountWithoutCpuCheck,
        Bug::CountBeforePublish,
        Bug::CommitBeforeHeader,
        Bug::ContentAloneIsClosed,
        Bug::SwitchWithoutCompare,
        Bug::CountWithoutLap,
        Bug::OpenWithoutRoom,
        Bug::FreeWithoutLap,
        Bug::PassOverBlindly,
        Bug::PassOverComparesPosition,
        Bug::PassOverComparesLocal,
        Bug::CloseFullOnPassed,
        Bug::ReadPassed,
        Bug::ParkingReleases,
        Bug::BuryTheLiving,
        Bug::TombstoneCounted,
        Bug::DeclareWithBusyRecord,
        Bug::DeclareWithBusyPadding,
        Bug::NeverJudged,
        Bug::OverwriteUnchecked,
        Bug::OverwrittenCountedLate,
        Bug::OverwrittenUntagged,
        Bug::CountedReadFirst,
        Bug::OverwrittenByCounters,
        Bug::NoSecondLook,
        Bug::PinIgnored,
        Bug::PinLookedAtFirst,
        Bug::EmptyWithoutNumber,
        Bug::FinishPassed,
        Bug::DeadFillerStays,
        Bug::PassOverByPosition,
        Bug::PassPlaceLate,
        Bug::BeginLapLate,
        Bug::ClaimWithoutOrder,
        Bug::FreshIsLapZero,
        Bug::NeverOpenedByNumber,
        Bug::BuryStopsAtPosition,
        Bug::TakeoverWithoutDisk,
        Bug::TakeoverForgetsParked,
        Bug::TakeoverReadsReleased,
        Bug::PinsStay,
        Bug::ReleaseBeforeWrite,
    ];
}
