/* trace: what nodes took, summed up for a table and kept one by one for a picture. Threads tell the pool's watcher
 * when they worked; the caller's thread says on which node. */
#include "op/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

/* --- recording --- */

static void put(struct trace *t, const struct trace_event *event)
{
	size_t i = atomic_fetch_add_explicit(&t->n, 1, memory_order_relaxed);
	if (i < TRACE_EVENTS)
		t->events[i] = *event;
}

static void thread_worked(void *ctx, int thread, double begin, double end)
{
	struct trace *t = ctx;
	if (t->now_run >= 0)
		put(t, &(struct trace_event){ begin, end - begin, t->now_node, (int16_t)t->now_run, (int16_t)thread });
}

int trace_init(struct trace *t, struct pool *pool, struct err *e)
{
	void *events;

	*t = (struct trace){ .pool = pool, .now_run = -1, .begin = clock_seconds() };
	if (mem_map(&events, TRACE_EVENTS * sizeof(*t->events), "the profile's events", e) < 0)
		return -1;
	mem_touch(events, TRACE_EVENTS * sizeof(*t->events));
	t->events = events;
	pool_watch(pool, thread_worked, t);
	return 0;
}

void trace_release(struct trace *t)
{
	if (t->events) {
		pool_watch(t->pool, NULL, NULL);
		mem_unmap(t->events, TRACE_EVENTS * sizeof(*t->events));
	}
	for (int i = 0; i < t->n_runs; i++)
		mem_free(t->runs[i].seconds);
	*t = (struct trace){ 0 };
}

void trace_attach(struct trace *t, struct run *r, const char *name)
{
	if (t->n_runs == TRACE_RUNS)
		BUG("more than %d runs in one trace", TRACE_RUNS);
	t->runs[t->n_runs] = (struct trace_run){ .plan = r->plan,
		                                 .name = name,
		                                 .seconds = mem_array(r->plan->n_nodes, sizeof(double)) };
	r->trace = t;
	r->traced = t->n_runs++;
}

double trace_node_begin(struct trace *t, int run, uint32_t node)
{
	t->now_run = run;
	t->now_node = node;
	return clock_seconds();
}

void trace_node_end(struct trace *t, int run, uint32_t node, double begin)
{
	double seconds = clock_seconds() - begin;

	t->runs[run].seconds[node] += seconds;
	t->now_run = -1;
	put(t, &(struct trace_event){ begin, seconds, node, (int16_t)run, -1 });
}

void trace_step(struct trace *t, int run, const struct batch *b)
{
	struct trace_run *r = &t->runs[run];
	struct live now = batch_live(b);

	r->steps++;
	live_add(&r->live, &now, 1);
}

void trace_span(struct trace *t, const char *name, double begin, double flops, double bytes)
{
	int i = 0;

	if (!t)
		return;
	while (i < t->n_spans && t->spans[i].name != name)
		i++;
	if (i == TRACE_SPANS)
		BUG("more than %d names of spans", TRACE_SPANS);
	t->n_spans = MAX(t->n_spans, i + 1);
	struct trace_sum *s = &t->spans[i];
	double seconds = clock_seconds() - begin;
	s->name = name;
	s->seconds += seconds;
	s->flops += flops;
	s->bytes += bytes;
	s->calls++;
	put(t, &(struct trace_event){ begin, seconds, (uint32_t)i, -1, -1 });
}

/* --- the table --- */

/* Columns of those that have the batch's rows, together. */
static size_t columns(const struct plan *p, const uint32_t *ids, int n)
{
	size_t sum = 0;

	for (int i = 0; i < n; i++) {
		const struct tensor *x = &p->tensors[ids[i]];
		if (ids[i] && x->axis != AXIS_FIXED)
			sum += x->dim[x->n_dims - 1];
	}
	return sum;
}

/* The columns of what a node makes and of its first input, or of all that it sums up: a product's N × K. */
static void shape_of(const struct plan *p, const struct node *n, char out[32])
{
	const struct tensor *y = &p->tensors[n->out[0]], *x = &p->tensors[n->in[0]];

	out[0] = '\0';
	if (strncmp(n->op->name, "linear", 6) != 0 || !n->out[0] || !n->in[0])
		return;
	if (y->axis == AXIS_FIXED)
		snprintf(out, 32, "%zu x %zu", y->dim[y->n_dims - 1], y->dim[0]);
	else
		snprintf(out, 32, "%zu x %zu", columns(p, n->out, NODE_OUTPUTS),
		         strcmp(n->op->name, "linear_dx_sum") != 0 ? x->dim[x->n_dims - 1] :
		                                                     columns(p, n->in, NODE_INPUTS));
}

static void add_row(struct trace_row *rows, size_t *n, const struct trace_row *row)
{
	size_t i = 0;

	while (i < *n && (strcmp(rows[i].name, row->name) != 0 || rows[i].phase != row->phase ||
	                  strcmp(rows[i].shape, row->shape) != 0 || rows[i].int8 != row->int8))
		i++;
	if (i == *n)
		rows[(*n)++] = (struct trace_row){ .name = row->name, .phase = row->phase, .int8 = row->int8 };
	memcpy(rows[i].shape, row->shape, sizeof(row->shape));
	rows[i].calls += row->calls;
	rows[i].seconds += row->seconds;
	rows[i].flops += row->flops;
	rows[i].bytes += row->bytes;
}

static void add_run(struct trace_row *rows, size_t *n, const struct trace_run *r)
{
	struct tape view = { .tensors = r->plan->tensors, .n_tensors = r->plan->n_tensors, .cap = r->plan->cap };
	double steps = (double)MAX(r->steps, (size_t)1);
	struct live mean = live_over(&r->live, steps);

	for (uint32_t i = 0; i < r->plan->n_nodes; i++) {
		const struct node *node = &r->plan->nodes[i];
		struct trace_row row = { .name = node->op->name,
			                 .phase = node->phase,
			                 .calls = r->steps,
			                 .seconds = r->seconds[i],
			                 .int8 = node_int8(node) };
		shape_of(r->plan, node, row.shape);
		node->op->cost(&view, node, &mean, &row.flops, &row.bytes);
		row.flops *= steps;
		row.bytes *= steps;
		add_row(rows, n, &row);
	}
}

static int by_seconds(const void *a, const void *b)
{
	const struct trace_row *x = a, *y = b;
	return x->seconds != y->seconds ? (x->seconds > y->seconds ? -1 : 1) : strcmp(x->name, y->name);
}

struct trace_row *trace_rows(const struct trace *t, size_t *n)
{
	size_t most = TRACE_SPANS;

	for (int i = 0; i < t->n_runs; i++)
		most += t->runs[i].plan->n_nodes;
	struct trace_row *rows = mem_array(most, sizeof(*rows));
	*n = 0;
	for (int i = 0; i < t->n_runs; i++)
		add_run(rows, n, &t->runs[i]);
	for (int i = 0; i < t->n_spans; i++) {
		const struct trace_sum *s = &t->spans[i];
		rows[(*n)++] = (struct trace_row){
			.name = s->name, .calls = s->calls, .seconds = s->seconds, .flops = s->flops, .bytes = s->bytes
		};
	}
	qsort(rows, *n, sizeof(*rows), by_seconds);
	return rows;
}
