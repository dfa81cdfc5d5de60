/* ranks_start: whether this process is one of several that mpirun has started, and the ranks then (train/ranks.h).
 *
 * Only commands that say so (command.ranks) run on several; any other is refused by rank 0, and the others end without
 * a word. A rank that follows prints nothing: what fails there is said by rank 0. */
#ifndef CMD_RANKS_START_H
#define CMD_RANKS_START_H

#include "cmd/command.h"
#include "train/ranks.h"

enum { RANK_TIMEOUT = 60 };            /* seconds, until the recipe says another */

/* How many were started together, 1: alone; and which this is. From what launchers put into the environment. */
int ranks_launched(int *rank);
/* Opens them into app->ranks and checks that all run the same program with the same kernels; *threads: of this process,
 * where it was 0 its share of the machine. −1 and a sentence; nothing is done where it is alone. */
int ranks_start(struct app *app, double timeout, int64_t *threads, struct err *e);
/* What a rank that follows has to say of its failure, which rank 0 prints. */
void ranks_keep(const char *sentence);
/* Rank 0 asks the others what they took until now, for the books (metering_ranks); between two steps, while they
 * follow. Nothing is done where it is alone. */
void ranks_count(struct app *app);
/* The end of the command: the exit status of this process. */
int ranks_end(struct app *app, int status);

#endif
