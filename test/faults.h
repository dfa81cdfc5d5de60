/* faults: a disk that fills and memory that runs out, in the test program: from a chosen moment on what would take more of it fails. */
#ifndef TEST_FAULTS_H
#define TEST_FAULTS_H

/* After n more calls that change the disk (write, fsync, rename, mkdir, open that creates) all of them fail with ENOSPC; the write that comes
 * first is done by half. −1: none fails. Standard output and error are no disk. */
void faults_after(long n);
/* After n more mappings of memory all fail with ENOMEM; −1: none. */
void faults_maps_after(long n);

#endif
