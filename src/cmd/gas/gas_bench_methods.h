/* gas_bench_methods: `gas bench methods`, every row of the methods' table beside the others. */
#ifndef CMD_GAS_BENCH_METHODS_H
#define CMD_GAS_BENCH_METHODS_H

#include "cmd/command.h"

struct bench_methods {
	const char *model, *compute;
	int length, repetitions;       /* tokens of a document and of a prompt */
	bool asked;                    /* for just this length */
};

int bench_methods(struct app *app, const struct bench_methods *o, struct err *e);

#endif
