/* trace: what the nodes of runs took: sums for a table, events for a picture. Off, it costs a run one comparison a
 * node.
 *
 *     trace_init → trace_attach (each run) → run_step …, trace_span …
 *     → trace_rows, trace_write → trace_release
 *
 * Everything is taken at trace_init and trace_attach; in a step nothing is allocated. Sums go on for ever; of the
 * events the first TRACE_EVENTS are kept and the rest counted. One trace at a time watches a pool. */
#ifndef OP_TRACE_H
#define OP_TRACE_H

#include <stdatomic.h>

#include "op/run.h"

enum { TRACE_EVENTS = 1 << 19, TRACE_RUNS = 4, TRACE_SPANS = 8 };

struct trace_event {
	double begin, seconds;     /* clock_seconds */
	uint32_t node;             /* of its run, or the number of a span's name */
	int16_t run;               /* -1: a span */
	int16_t thread;            /* -1: the whole node; else what this thread did of it */
};

struct trace_run {
	const struct plan *plan;
	const char *name;          /* "train", "decode" */
	double *seconds;           /* [n_nodes] */
	struct live live;          /* sums over its steps */
	size_t steps;
};

/* Work outside the tape: the optimizer, packing. */
struct trace_sum {
	const char *name;
	double seconds, flops, bytes;
	size_t calls;
};

struct trace {
	struct pool *pool;
	struct trace_event *events;
	atomic_size_t n;           /* seen; only the first TRACE_EVENTS are there */
	struct trace_run runs[TRACE_RUNS];
	int n_runs;
	struct trace_sum spans[TRACE_SPANS];
	int n_spans;
	double begin;
	int now_run;               /* where the threads work now */
	uint32_t now_node;
};

int trace_init(struct trace *t, struct pool *pool, struct err *e);
void trace_release(struct trace *t);
/* From now on the run's nodes are timed. Its plan must be there until the trace is released. name: a literal. */
void trace_attach(struct trace *t, struct run *r, const char *name);
/* Something outside of runs that began at `begin` and is over now. t may be NULL. name: a literal. */
void trace_span(struct trace *t, const char *name, double begin, double flops, double bytes);

/* One line of the table: all nodes of one op in one phase with one shape and arithmetic. */
struct trace_row {
	const char *name;          /* of the op or the span */
	enum phase phase;
	char shape[32];            /* columns out × in of a product, "" else */
	bool int8;                 /* its operations are int8's */
	size_t calls;
	double seconds, flops, bytes;
};
/* Dearest first; mem_free. */
struct trace_row *trace_rows(const struct trace *t, size_t *n);

/* Chrome's trace events, which Perfetto (ui.perfetto.dev) and chrome://tracing open: a track of steps and layers, one
 * of nodes, one a thread. */
int trace_write(const struct trace *t, const char *path, struct err *e);

/* For run_step. */
double trace_node_begin(struct trace *t, int run, uint32_t node);
void trace_node_end(struct trace *t, int run, uint32_t node, double begin);
void trace_step(struct trace *t, int run, const struct batch *b);

#endif
