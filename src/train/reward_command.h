/* reward_command: a program of the person's own that says what answers are worth.
 *
 * It is run by sh. On its standard input there is a line of JSON for each answer, on its standard output a number a
 * line, in their order. One that is kept gets further lines with every step and so must write each number at once
 * (flush); another gets its lines and the end of its input, writes all numbers and ends with status 0.
 *
 * It may take so many seconds for what it was asked and so much address space, it and what it starts; then it is ended.
 * Its standard error is ours. */
#ifndef TRAIN_REWARD_COMMAND_H
#define TRAIN_REWARD_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

struct reward_command {
	const char *command;           /* borrowed */
	bool kept;
	double seconds;                /* for one question; 0: any */
	size_t memory;                 /* bytes; 0: any */
	/* the rest is its own; zero at first */
	pid_t pid;
	int in, out;
};

/* lines: of n answers, each ended. Starts it where it is not running. −1: a sentence, and it is ended. */
int reward_command_ask(struct reward_command *c, const char *lines, size_t length, size_t n, double *out,
                       struct err *e);
void reward_command_end(struct reward_command *c);

#endif
