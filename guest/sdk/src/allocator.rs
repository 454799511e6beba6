//! The allocator of guests: lists of freed blocks, one list for each small size, in front of the system's allocator.
//!
//! An event allocates some hundred small blocks and gives all of them back before it is over, and the next event wants
//! the same sizes again. So a small block that is freed goes to the list of its size and is taken from there, in a few
//! instructions; the system's allocator (dlmalloc), which joins neighbours and serves all sizes, gets large blocks only.
//! What is on the lists is never joined: memory is bounded by the most that was in use at once of each size.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::null_mut;
use std::alloc::System;

/// Small blocks are multiples of this, and aligned to it, in bytes.
const STEP: usize = 16;
/// The largest small block, in bytes.
const SMALL_MAX: usize = 1024;
/// Small blocks are cut from pieces of this size, in bytes.
const PIECE: usize = 8 * 1024;

/// See the module.
pub(crate) struct Allocator(UnsafeCell<Lists>);

struct Lists {
    /// By size in steps; the first word of a freed block is the next one of its list.
    freed: [*mut Freed; SMALL_MAX / STEP + 1],
    /// What is left of the piece that blocks are cut from.
    rest: *mut u8,
    rest_bytes: usize,
}

struct Freed {
    next: *mut Freed,
}

impl Allocator {
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(Lists { freed: [null_mut(); SMALL_MAX / STEP + 1], rest: null_mut(), rest_bytes: 0 }))
    }
}

// SAFETY: a component has one thread, and this module is built for components only.
unsafe impl Sync for Allocator {}

// SAFETY: every block is on one list, or in use, or part of the rest; a block has at least the size and alignment of
// its layout, and goes back to the list, or to the system, that the same layout comes from. Nothing here allocates
// while it holds the lists but `System`, which knows nothing of them.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(steps) = steps(layout.size(), layout.align()) else { return unsafe { System.alloc(layout) } };
        let lists = unsafe { &mut *self.0.get() };
        let block = lists.freed[steps];
        if block.is_null() {
            return unsafe { lists.cut(steps) };
        }
        lists.freed[steps] = unsafe { (*block).next };
        block.cast()
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match steps(layout.size(), layout.align()) {
            Some(steps) => unsafe { (*self.0.get()).put(block, steps) },
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        match (steps(layout.size(), layout.align()), steps(size, layout.align())) {
            (Some(before), Some(after)) if before == after => block,
            (None, None) => unsafe { System.realloc(block, layout, size) },
            _ => unsafe {
                let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                if !moved.is_null() {
                    moved.copy_from_nonoverlapping(block, layout.size().min(size));
                    self.dealloc(block, layout);
                }
                moved
            },
        }
    }
}

/// The size of a small block in steps; none for others.
#[inline]
fn steps(size: usize, align: usize) -> Option<usize> {
    (size <= SMALL_MAX && align <= STEP).then(|| size.div_ceil(STEP))
}

impl Lists {
    /// A block that was never used.
    #[cold]
    unsafe fn cut(&mut self, steps: usize) -> *mut u8 {
        let size = steps * STEP;
        if self.rest_bytes < size {
            let piece = unsafe { System.alloc(Layout::from_size_align_unchecked(PIECE, STEP)) };
            if piece.is_null() {
                return piece;
            }
            if self.rest_bytes > 0 {
                unsafe { self.put(self.rest, self.rest_bytes / STEP) };
            }
            (self.rest, self.rest_bytes) = (piece, PIECE);
        }
        let block = self.rest;
        self.rest = unsafe { block.add(size) };
        self.rest_bytes -= size;
        block
    }

    #[inline]
    unsafe fn put(&mut self, block: *mut u8, steps: usize) {
        let block = block.cast::<Freed>();
        unsafe { (*block).next = self.freed[steps] };
        self.freed[steps] = block;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block in use: where it is, its layout, and the byte that it is full of.
    type Used = (*mut u8, Layout, u8);

    fn is_whole(&(block, layout, byte): &Used, bytes: usize) -> bool {
        let content = unsafe { core::slice::from_raw_parts(block, bytes.min(layout.size())) };
        block.align_offset(layout.align()) == 0 && content.iter().all(|found| *found == byte)
    }

    #[test]
    fn blocks_keep_what_is_in_them_whatever_is_taken_freed_and_resized_around_them() {
        let allocator = Allocator::new();
        let mut random = crate::Random::new(1);
        let mut used: Vec<Used> = Vec::new();
        for turn in 0..20_000 {
            let size = random.within(1, if turn % 7 == 0 { 5_000 } else { 200 }) as usize;
            let byte = turn as u8;
            match random.within(0, 2) {
                0 if used.len() > 50 => {
                    let (block, layout, byte) = used.swap_remove(random.within(0, 49) as usize);
                    assert!(is_whole(&(block, layout, byte), usize::MAX));
                    unsafe { allocator.dealloc(block, layout) };
                }
                1 if used.len() > 50 => {
                    let (block, layout, byte) = used.swap_remove(random.within(0, 49) as usize);
                    let moved = unsafe { allocator.realloc(block, layout, size) };
                    let resized = Layout::from_size_align(size, layout.align()).expect("a layout");
                    assert!(is_whole(&(moved, resized, byte), layout.size()));
                    unsafe { moved.write_bytes(byte, size) };
                    used.push((moved, resized, byte));
                }
                _ => {
                    let layout = Layout::from_size_align(size, 1 << random.within(0, 5)).expect("a layout");
                    let block = unsafe { allocator.alloc(layout) };
                    unsafe { block.write_bytes(byte, size) };
                    used.push((block, layout, byte));
                }
            }
        }
        assert!(used.iter().all(|block| is_whole(block, usize::MAX)));
        used.into_iter().for_each(|(block, layout, _)| unsafe { allocator.dealloc(block, layout) });
    }

    #[test]
    fn a_freed_small_block_is_the_next_of_its_size() {
        let allocator = Allocator::new();
        let [layout, like] = [33, 48].map(|size| Layout::from_size_align(size, 8).expect("a layout"));
        unsafe {
            let block = allocator.alloc(layout);
            allocator.dealloc(block, layout);
            assert_eq!(allocator.alloc(like), block);
        }
    }
}
