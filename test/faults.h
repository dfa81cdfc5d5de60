/* faults: a disk that fills, in the test program: from a chosen moment on, whatever would put something on it fails, as a full one does. */
#ifndef TEST_FAULTS_H
#define TEST_FAULTS_H

/* After n more calls that change the disk (write, fsync, rename, mkdir, open that creates) all of them fail with ENOSPC; the write that comes
 * first is done by half. −1: none fails. Standard output and error are no disk. */
void faults_after(long n);
long faults_calls(void); /* such calls since then */

#endif
