/* gas_measure: a learning curve by experiment. The rows of a finished run of tune are put into one order by its seed;
 * of the first n of them, for a few n, the program itself makes a run with that run's own recipe and evaluates it, as a
 * child process, so that each is metered and stands in the ledger as if it had been typed. What is finished is not done
 * again, a run that was stopped or killed is resumed. Reading the curve is gas_learning's. */
#ifndef CMD_GAS_MEASURE_H
#define CMD_GAS_MEASURE_H

#include "cmd/command.h"

struct measure {
	/* ledger, threads, prices, … are passed on; --max-gas is for all children together */
	const struct common *common;
	const char *run;               /* folder, or what else the ledger calls it */
	const char *eval_data;         /* NULL: the run's own */
	const char *at;                /* "100,200,400"; NULL: halves of the run's rows */
	/* folder of subsets and runs, n.jsonl and n/; NULL: run's folder + "-marginal" */
	const char *runs;
	char data[33];                 /* out: hash of the evaluation rows */
};

/* 0: all is measured. 1: stopped by a signal or by --max-gas, which was said; the same command goes on. −1: a
 * sentence, a failing child's own among them. */
int measure_runs(struct measure *o, struct err *e);

#endif
