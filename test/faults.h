/* faults: a disk that fills, memory that runs out, a clock that is set and a machine that sleeps, in the test program:
 * from a chosen moment on what would take more of it fails. */
#ifndef TEST_FAULTS_H
#define TEST_FAULTS_H

#include <stdbool.h>

/* After n more calls that change the disk (write, fsync, rename, mkdir, open that creates) all of them fail with
 * ENOSPC; the write that comes first is done by half. −1: none fails. Standard output and error are no disk. */
void faults_after(long n);
/* After n more mappings of memory all fail with ENOMEM; −1: none. */
void faults_maps_after(long n);
/* After n more such calls, unlink and rmdir among them, the process ends with status FAULTS_DIED, as by kill -9. For a
 * child; −1: it lives. */
void faults_die_after(long n);
enum { FAULTS_DIED = 77 };
/* Whether the file system can exchange two names. */
void faults_exchange(bool possible);
/* From now on the wall clock is so many seconds off, and the machine has slept so many; 0, 0: neither. */
void faults_clock(double jump, double slept);
/* The steady clock stands at so many seconds, sleep apart; below 0: it goes on. Threads
 * that wait for a moment of it wait for the real one. */
void faults_stop(double steady);

#endif
