/* trace_write: a trace as Chrome's trace events (JSON; format of the Trace Event Profiling Tool), which Perfetto opens.
 *
 * Complete events ("ph":"X") with begin and length in microseconds, on these tracks: blocks (runs of nodes of one layer
 * in one phase), nodes, and one a thread, which shows how evenly a node's items were shared. */
#include "op/trace.h"

#include <math.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"

/* Perfetto takes thread 0, and the one with the process's number, for the main thread and would lay both over each
 * other: tracks begin after them. */
enum { PROCESS = 1, TRACK_BLOCKS, TRACK_NODES, TRACK_THREADS, FLUSH_BYTES = 1 << 20 };

struct writer {
	const struct trace *t;
	struct io_writer file;
	struct buf text;
	bool any;
};

static void separate(struct writer *w)
{
	buf_adds(&w->text, w->any ? ",\n" : "\n");
	w->any = true;
}

static void put_name(struct writer *w, const char *of, int track, const char *name)
{
	separate(w);
	buf_addf(&w->text, "{\"ph\":\"M\",\"pid\":%d,\"tid\":%d,\"name\":\"%s_name\",\"args\":{\"name\":\"%s\"}}",
	         PROCESS, track, of, name);
}

static void put_track(struct writer *w, int track, const char *name)
{
	put_name(w, "thread", track, name);
	separate(w);
	buf_addf(&w->text,
	         "{\"ph\":\"M\",\"pid\":%d,\"tid\":%d,\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":%d}}",
	         PROCESS, track, track);
}

static void put_tracks(struct writer *w)
{
	char name[32];

	put_name(w, "process", PROCESS, "kungfu");
	put_track(w, TRACK_BLOCKS, "blocks");
	put_track(w, TRACK_NODES, "nodes");
	for (int i = 0; i < pool_threads(w->t->pool); i++) {
		snprintf(name, sizeof(name), "thread %d", i);
		put_track(w, TRACK_THREADS + i, name);
	}
}

/* Nanoseconds since the trace began. Ends are rounded as beginnings are, so that what did not overlap does not after
 * rounding: a reader drops slices of one track that overlap without one being inside the other. */
static long long nanoseconds(const struct writer *w, double when)
{
	return llround((when - w->t->begin) * 1e9);
}

/* Opens an event; the caller adds arguments and closes with "}}". */
static void put_event(struct writer *w, const char *name, const char *category, int track, double begin, double seconds)
{
	long long from = nanoseconds(w, begin), length = nanoseconds(w, begin + seconds) - from;

	separate(w);
	buf_addf(&w->text,
	         "{\"ph\":\"X\",\"pid\":%d,\"tid\":%d,\"name\":\"%s\",\"cat\":\"%s\",\"ts\":%lld.%03lld,\"dur\":%lld.%"
	         "03lld,\"args\":{",
	         PROCESS, track, name, category, from / 1000, from % 1000, length / 1000, length % 1000);
}

static void put_node(struct writer *w, const struct trace_event *v)
{
	const struct trace_run *r = &w->t->runs[v->run];
	const struct node *n = &r->plan->nodes[v->node];
	const char *made = n->out[0] ? r->plan->tensors[n->out[0]].name : "";

	put_event(w, n->op->name, phase_name(n->phase), v->thread < 0 ? TRACK_NODES : TRACK_THREADS + v->thread,
	          v->begin, v->seconds);
	buf_addf(&w->text, "\"run\":\"%s\",\"node\":%u,\"layer\":%d,\"tensor\":\"%s\"}}", r->name, v->node, n->layer,
	         made);
}

static void put_span(struct writer *w, const struct trace_event *v)
{
	put_event(w, w->t->spans[v->node].name, "span", TRACK_NODES, v->begin, v->seconds);
	buf_adds(&w->text, "}}");
}

/* A run of nodes of the same layer and phase. */
struct block {
	int run, layer;
	enum phase phase;
	double begin, end;
};

static void put_block(struct writer *w, const struct block *b)
{
	char name[48];

	if (b->run < 0)
		return;
	if (b->layer >= 0)
		snprintf(name, sizeof(name), "layer %d", b->layer);
	else
		snprintf(name, sizeof(name), "%s", w->t->runs[b->run].name);
	put_event(w, name, phase_name(b->phase), TRACK_BLOCKS, b->begin, b->end - b->begin);
	buf_addf(&w->text, "\"phase\":\"%s\"}}", phase_name(b->phase));
}

/* Recomputed nodes belong to the block of the backward that they serve. */
static void grow_block(struct writer *w, struct block *b, const struct trace_event *v)
{
	const struct node *n = v->run < 0 ? NULL : &w->t->runs[v->run].plan->nodes[v->node];
	enum phase phase = n && n->phase == PHASE_FORWARD ? PHASE_FORWARD : PHASE_BACKWARD;
	bool same = n && b->run == v->run && b->layer == n->layer && b->phase == phase;

	if (!same) {
		put_block(w, b);
		*b = n ? (struct block){ v->run, n->layer, phase, v->begin, 0 } : (struct block){ .run = -1 };
	}
	b->end = v->begin + v->seconds;
}

static int write_events(struct writer *w, struct err *e)
{
	const struct trace *t = w->t;
	size_t n = MIN(atomic_load(&t->n), (size_t)TRACE_EVENTS);
	struct block block = { .run = -1 };

	for (size_t i = 0; i < n; i++) {
		const struct trace_event *v = &t->events[i];
		if (v->thread < 0)
			grow_block(w, &block, v);
		if (v->run < 0)
			put_span(w, v);
		else
			put_node(w, v);
		if (w->text.len > FLUSH_BYTES) {
			if (io_writer_add(&w->file, w->text.data, w->text.len, e) < 0)
				return -1;
			buf_clear(&w->text);
		}
	}
	put_block(w, &block);
	buf_addf(&w->text, "\n],\"otherData\":{\"events_left_out\":%zu}}\n", atomic_load(&t->n) - n);
	return io_writer_add(&w->file, w->text.data, w->text.len, e);
}

int trace_write(const struct trace *t, const char *path, struct err *e)
{
	struct writer w = { .t = t };

	if (io_writer_open(&w.file, path, e) < 0)
		return -1;
	buf_adds(&w.text, "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[");
	put_tracks(&w);
	int status = write_events(&w, e);
	status = io_writer_end(&w.file, status, e);
	buf_release(&w.text);
	return status;
}
