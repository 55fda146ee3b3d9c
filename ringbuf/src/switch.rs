//! The slow path: what a reserve does that meets a boundary, or has no rseq.
//!
//! ```text
//!  reserve refused
//!    │ no rseq, or too many aborts ─────────────▶ atomic_lane.rs
//!    ▼
//!  where does the position stand?
//!    inside, fits     place:  header, reserved            (also: other clocks, extended)
//!    inside, crosses  close:  end, content, padding header, reserved = boundary
//!    on a boundary    open:   counters, begin, first header, reserved
//!                             (place held: pass it over; lane full: lose the event, or wait)
//! ```
//! Each arrow is one restartable sequence that begins with "still on this CPU (or with this
//! concurrency id), still at this position" and ends with the store that moves the position. An aborted one
//! leaves stores that the next attempt at the same position makes again, and that
//! nobody reads before the position has moved.

use crate::atomic_lane;
use crate::channel::{Channel, User};
use crate::clock;
use crate::header::{self, EXTENSION_BYTES, Header, MAX_RECORD_BYTES, PADDING_ID};
use crate::lane::{self, Lane, LostCause};
use crate::layout::SubBuffer;
use crate::reserve::{Home, Record};
use crate::room::{self, Room};
use laneway_rseq::ring::Reserved;
use laneway_rseq::{NotDone, Rseq, Store};
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

/// Aborts after which a thread stops trying its rseq lane: enough for any real
/// preemption, few enough for a debugger's single steps.
const MAX_ABORTS: u32 = 8;

/// Attempts after which the memory is given up, some milliseconds: no real contention comes near,
/// but memory that another process changes at will must not keep a thread here for ever, nor for
/// so long with each event.
const MAX_STEPS: u32 = 100_000;

/// How long to wait, at a time, for somebody who fills a place of an atomic lane.
const FILLED: Duration = Duration::from_millis(1);

/// What one attempt on a lane came to.
pub(crate) enum Step {
    Reserved(Record),
    /// Something was done, by us or by another thread: look again.
    Again,
    /// The sequence was interrupted.
    Aborted,
    /// The next sub-buffer is not released.
    Full,
}

/// What a thread wants to reserve.
#[derive(Clone, Copy)]
pub(crate) struct Wish {
    content: usize,
}

impl Wish {
    /// Bytes of the record, and whether it is extended, for an event at `now` behind
    /// records whose clocks had `epoch` as upper half.
    pub(crate) fn size(self, now: u64, epoch: u64) -> (usize, bool) {
        let extended = now >> 32 != epoch;
        let extension = if extended { EXTENSION_BYTES } else { 0 };
        (header::record_bytes(self.content + extension), extended)
    }
}

impl Channel {
    #[cold]
    #[inline(never)]
    pub(crate) fn reserve_slow(&self, content: usize) -> Option<Record> {
        let user = self.enter()?;
        let geometry = user.memory.geometry();
        let wish = Wish { content };
        let longest = header::record_bytes(content.checked_add(EXTENSION_BYTES)?);
        let (mut aborts, mut deadline) = (0, None);
        let mut steps = match self.tampered.load(Ordering::Relaxed) {
            true => MAX_STEPS,
            false => 0,
        };
        while steps < MAX_STEPS {
            steps += 1;
            let home = self.home(geometry.lanes(), aborts);
            let index = match home {
                Home::Cpu(cpu) => cpu.0,
                Home::Cid(cid) => cid.0,
                Home::Nobody => geometry.lanes() + fallback_cpu() % geometry.lanes(),
            };
            let lane = user.memory.lane(index);
            if longest > MAX_RECORD_BYTES || longest as u64 > geometry.sub_buffer_bytes() {
                user.memory.header().set_active(index);
                lane.control().lost.count(LostCause::TooLarge);
                return None;
            }
            let step = match home {
                Home::Nobody => self.step_atomic(&user, lane, wish),
                home => self.step(&user, lane, home, wish),
            };
            match step {
                Step::Reserved(record) => return Some(record),
                Step::Again => {}
                Step::Aborted => aborts += 1,
                Step::Full => {
                    if let Err(cause) = self.wait_for_room(&user, lane, home, &mut deadline) {
                        lane.control().lost.count(cause);
                        return None;
                    }
                    steps = 0; // that has a time limit of its own
                }
            }
        }
        self.tampered.store(true, Ordering::Relaxed);
        user.memory.header().set_active(0);
        user.memory.lane(0).control().lost.count(LostCause::Full);
        None
    }

    /// To whom the current lane belongs: to nobody, where sequences cannot be used.
    fn home(&self, lanes: u32, aborts: u32) -> Home {
        let rseq = Rseq::get();
        if aborts >= MAX_ABORTS
            // SYNC(users): SeqCst, as `give_back_idle` needs it.
            || !self.rseq.load(Ordering::SeqCst)
            || rseq.cpu().is_none() && rseq.register_thread().is_err()
        {
            return Home::Nobody;
        }
        let home = match self.by_cid() {
            true => rseq.mm_cid().filter(|cid| cid.0 < lanes).map(Home::Cid),
            false => rseq.cpu().filter(|cpu| cpu.0 < lanes).map(Home::Cpu),
        };
        home.unwrap_or(Home::Nobody)
    }

    /// One attempt on the rseq lane of `home`.
    fn step(&self, user: &User<'_>, lane: Lane<'_>, home: Home, wish: Wish) -> Step {
        // SYNC(reserve): Acquire, so that the clock is read after what stands here.
        let position = lane.control().reserved.load(Ordering::Acquire);
        let offset = position - lane.sub_buffer_start(position);
        if !lane::is_position(position) {
            return Step::Full; // the memory was tampered with
        }
        if offset == 0 {
            return self.open(user, lane, home, position, wish);
        }
        let now = clock::now(self.clock());
        let (bytes, extended) = wish.size(now, lane.control().epoch.load(Ordering::Relaxed));
        if offset + bytes as u64 > lane.geometry().sub_buffer_bytes() {
            return self.close(user, lane, home, position, now);
        }
        let header = self.busy_header(bytes, extended).at(now);
        let stores = [store(lane.header_word(position), header.bits())];
        let end = position + bytes as u64;
        match move_position(lane, home, position, &stores, end) {
            Moved::Yes if extended => {
                // The clock is there before the epoch is told, which hides it from what follows.
                let record = record_at(lane, home, position, bytes, Some(now));
                tell_epoch(lane, home, end, now);
                Step::Reserved(record)
            }
            Moved::Yes => Step::Reserved(record_at(lane, home, position, bytes, None)),
            Moved::Changed => Step::Again,
            Moved::Aborted => Step::Aborted,
        }
    }

    /// Pads the rest of the sub-buffer in which `position` lies.
    fn close(&self, user: &User<'_>, lane: Lane<'_>, home: Home, position: u64, now: u64) -> Step {
        let start = lane.sub_buffer_start(position);
        let boundary = start + lane.geometry().sub_buffer_bytes();
        let sub_buffer = lane.sub_buffer(position);
        let padding = Header::padding(self.slot.load(Ordering::Relaxed)).at(now);
        let stores = [
            store(&sub_buffer.content, position - start),
            store(&sub_buffer.end, now),
            store(lane.header_word(position), padding.bits()),
        ];
        match move_position(lane, home, position, &stores, boundary) {
            Moved::Yes => {}
            Moved::Changed => return Step::Again,
            Moved::Aborted => return Step::Aborted,
        }
        self.commit_padding(user, lane, home, position, boundary);
        Step::Again
    }

    /// Publishes and counts the padding record that fills `position..boundary`, and
    /// tells the consumer that a sub-buffer was closed.
    pub(crate) fn commit_padding(
        &self,
        user: &User<'_>,
        lane: Lane<'_>,
        home: Home,
        position: u64,
        boundary: u64,
    ) {
        header::publish(lane.upper_half(position), 0, PADDING_ID, false);
        let place = Reserved {
            record: lane.at(position),
            lane: lane.data(),
            position,
            slot: home.number(),
        };
        // SAFETY: reserved by us, just published, not counted.
        unsafe { self.count_slow(&place, home, (boundary - position) as usize, 0) };
        user.memory.header().doorbell.ring();
    }

    /// Begins the sub-buffer at `position` with the first record in it.
    fn open(&self, user: &User<'_>, lane: Lane<'_>, home: Home, position: u64, wish: Wish) -> Step {
        if let Some(previous) = unclosed_before(lane, position) {
            return self.close_full(user, lane, home, position, previous);
        }
        let first = self.first_store_of_open(lane, position);
        let held = (first, first.load(Ordering::Acquire));
        match room::look(lane, position, self.overwrites()) {
            Room::Here => {}
            Room::None => return Step::Full,
            Room::At(later) => return pass_over(lane, home, position, held, later),
        }
        user.memory.header().set_active(self.lane_index(user, lane));
        let now = clock::now(self.clock());
        let (bytes, _) = wish.size(now, now >> 32);
        let header = self.busy_header(bytes, false).at(now);
        let sub_buffer = lane.sub_buffer(position);
        let fresh = lane.lap(position).fresh();
        let [sum, counted] = self.count_overwritten(lane, position);
        let stores = [
            sum,
            counted,
            store(&sub_buffer.local, fresh),
            store(&sub_buffer.remote, fresh),
            store(&sub_buffer.begin, now),
            store(&sub_buffer.end, 0),
            store(&sub_buffer.content, 0),
            store(&lane.control().epoch, now >> 32),
            store(lane.header_word(position), header.bits()),
        ];
        match move_position(lane, home, position, &stores, position + bytes as u64) {
            Moved::Yes => {
                // SYNC(open): what takes the place off its last lap comes before anything that is
                // written on this one; pairs with the fence in `LaneReader::copy`.
                fence(Ordering::Release);
                Step::Reserved(record_at(lane, home, position, bytes, None))
            }
            Moved::Changed => Step::Again,
            Moved::Aborted => Step::Aborted,
        }
    }

    /// The stores that count what opening the place of `position` overwrites: the sum goes where
    /// it does not hold yet, then the second one makes it hold. So an attempt that was interrupted
    /// has counted, or not; the next one can tell.
    fn count_overwritten<'m>(&self, lane: Lane<'m>, position: u64) -> [Store<'m>; 2] {
        let lost = &lane.control().lost;
        let number = lane.number(position);
        // The records first: who then finds that nobody has counted them has read them intact.
        let records = room::records_to_lose(lane, position);
        let before = lost.counted.load(Ordering::Acquire);
        let again = store(&lost.counted, before);
        if !self.overwrites() || before >> 1 == number {
            return [again, again];
        }
        let [now, other] = [before & 1, before & 1 ^ 1];
        let before = lost.overwritten[now as usize].load(Ordering::Relaxed);
        let sum = before.wrapping_add(records);
        [
            store(&lost.overwritten[other as usize], sum),
            store(&lost.counted, number << 1 | other),
        ]
    }

    /// The word whose change is the first of an opening that anybody else can see.
    fn first_store_of_open<'m>(&self, lane: Lane<'m>, position: u64) -> &'m AtomicU64 {
        match self.overwrites() {
            true => &lane.control().lost.counted,
            false => &lane.sub_buffer(position).local,
        }
    }

    /// Gives a sub-buffer that its last record filled exactly its end.
    fn close_full(
        &self,
        user: &User<'_>,
        lane: Lane<'_>,
        home: Home,
        position: u64,
        previous: &SubBuffer,
    ) -> Step {
        let now = clock::now(self.clock());
        // The content comes last: it is what says "closed" (`Lane::closed_content`).
        let content = store(&previous.content, lane.geometry().sub_buffer_bytes());
        match compare_store(lane, home, position, &[store(&previous.end, now)], content) {
            Moved::Yes => {
                user.memory.header().doorbell.ring();
                Step::Again
            }
            Moved::Changed => Step::Again,
            Moved::Aborted => Step::Aborted,
        }
    }

    #[inline(always)]
    pub(crate) fn busy_header(&self, bytes: usize, extended: bool) -> Header {
        Header::busy(bytes, self.slot.load(Ordering::Relaxed), extended)
    }

    pub(crate) fn lane_index(&self, user: &User<'_>, lane: Lane<'_>) -> u32 {
        let distance = lane.data() as usize - user.memory.first_lane() as usize;
        (distance as u64 / user.memory.geometry().stride()) as u32
    }

    /// Waits until `lane` may have room; an error says as what the event is lost.
    fn wait_for_room(
        &self,
        user: &User<'_>,
        lane: Lane<'_>,
        home: Home,
        deadline: &mut Option<Instant>,
    ) -> Result<(), LostCause> {
        let Some(limit) = self.block_limit() else {
            return Err(LostCause::Full);
        };
        if !self.is_attached() {
            return Err(LostCause::Full);
        }
        let now = Instant::now();
        let deadline = *deadline.get_or_insert_with(|| now + limit);
        if now >= deadline {
            return Err(LostCause::TimedOut);
        }
        let doorbell = &user.memory.header().doorbell;
        // The consumer may sleep although a sub-buffer became whole since it looked.
        doorbell.ring();
        let has_room = |position| match home {
            Home::Nobody => atomic_lane::has_room(lane, position),
            _ => room::look(lane, position, false) != Room::None,
        };
        let room = || {
            let position = lane.control().reserved.load(Ordering::Acquire);
            let boundary = position == lane.sub_buffer_start(position);
            !boundary
                || !lane::is_position(position)
                || has_room(position)
                || !self.is_attached()
                || self.block_limit().is_none()
        };
        let limit = match home {
            // Who has filled a place tells nobody.
            Home::Nobody => FILLED.min(deadline - now),
            _ => deadline - now,
        };
        doorbell.wait_for_room(limit, room);
        Ok(())
    }
}

/// The record of `bytes` bytes at `position`, which the lane's position has just passed;
/// `clock` is written behind the header of an extended one.
pub(crate) fn record_at(
    lane: Lane<'_>,
    home: Home,
    position: u64,
    bytes: usize,
    clock: Option<u64>,
) -> Record {
    if let Some(clock) = clock {
        lane.header_word(position + 8)
            .store(clock, Ordering::Relaxed);
    }
    let place = Reserved {
        record: lane.at(position),
        lane: lane.data(),
        position,
        slot: home.number(),
    };
    Record {
        place,
        home,
        bytes,
        extended: clock.is_some(),
    }
}

fn store(word: &AtomicU64, value: u64) -> Store<'_> {
    Store { word, value }
}

/// The sub-buffer that ends at `position`, if it was not passed over and nobody has closed it.
fn unclosed_before<'m>(lane: Lane<'m>, position: u64) -> Option<&'m SubBuffer> {
    let start = lane.sub_buffer_start(position.checked_sub(1)?);
    let unclosed = lane.is_on_lap(start) && lane.closed_content(start).is_none();
    unclosed.then(|| lane.sub_buffer(start))
}

/// Moves the lane's position from the boundary `position` to a later one, if the word that opening
/// the place at hand changes first is as it was when it was found `held`: somebody may have begun to
/// open it meanwhile, and then it must be opened.
fn pass_over(
    lane: Lane<'_>,
    home: Home,
    position: u64,
    held: (&AtomicU64, u64),
    later: u64,
) -> Step {
    let word = (&lane.control().reserved, position);
    let done = match home {
        Home::Cpu(cpu) => Rseq::get().compare_both_and_store(cpu, held, word, later),
        Home::Cid(cid) => Rseq::get().compare_both_and_store(cid, held, word, later),
        Home::Nobody => Err(NotDone::Aborted),
    };
    match done {
        Err(NotDone::Aborted) => Step::Aborted,
        Ok(()) | Err(NotDone::Mismatch) => Step::Again,
    }
}

/// How a guarded sequence of stores ended.
enum Moved {
    Yes,
    /// The position was not the expected one.
    Changed,
    Aborted,
}

/// Lets the records behind an extended one, which ends at `position`, be plain again.
///
/// If it comes to nothing, because somebody was faster or we were interrupted, the next
/// record is extended too.
fn tell_epoch(lane: Lane<'_>, home: Home, position: u64, now: u64) {
    let epoch = store(&lane.control().epoch, now >> 32);
    let _ = compare_store(lane, home, position, &[], epoch);
}

/// In `home`, while the lane stands at `position`: makes `stores`, then moves the
/// lane's position to `end`.
fn move_position(
    lane: Lane<'_>,
    home: Home,
    position: u64,
    stores: &[Store<'_>],
    end: u64,
) -> Moved {
    compare_store(
        lane,
        home,
        position,
        stores,
        store(&lane.control().reserved, end),
    )
}

/// In `home`, while the lane stands at `position`: makes `stores`, then `last`.
fn compare_store(
    lane: Lane<'_>,
    home: Home,
    position: u64,
    stores: &[Store<'_>],
    last: Store<'_>,
) -> Moved {
    let guard = &lane.control().reserved;
    let rseq = Rseq::get();
    let done = match home {
        Home::Cpu(cpu) => rseq.compare_store_many(cpu, guard, position, stores, last),
        Home::Cid(cid) => rseq.compare_store_many(cid, guard, position, stores, last),
        Home::Nobody => Err(NotDone::Aborted),
    };
    match done {
        Ok(()) => Moved::Yes,
        Err(NotDone::Mismatch) => Moved::Changed,
        Err(NotDone::Aborted) => Moved::Aborted,
    }
}

/// A CPU number for a thread whose rseq cannot say: any is right, near is better.
fn fallback_cpu() -> u32 {
    // SAFETY: no arguments; a negative answer means the system cannot say.
    let cpu = unsafe { libc::sched_getcpu() };
    cpu.max(0) as u32
}
