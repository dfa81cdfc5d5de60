/* The trace: what it sums is what ran, and a full buffer of events is no error. */
#include "../test.h"

#include <math.h>
#include <stdlib.h>

#include "../held/held.h"
#include "../op_case.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "op/trace.h"

static const struct trace_row *find(const struct trace_row *rows, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(rows[i].name, name))
			return &rows[i];
	return NULL;
}

/* A node twice, of so many seconds each; a span of 3 s. */
static void sums(struct test *t, const struct trace *trace, double each)
{
	size_t n;
	struct trace_row *rows = trace_rows(trace, &n);
	const struct trace_row *act = find(rows, n, "act"), *span = find(rows, n, "span");

	test_case(t, "two steps of one node and one span: calls, operations, time");
	CHECK(t, n == 2 && act && span);
	if (act && span) {
		CHECK(t, act->calls == 2 && act->flops > 0 && act->bytes == 2.0 * 12 * 40 * 16);
		CHECK_MSG(t, fabs(act->seconds - 2 * each) < 1e-5 && fabs(span->seconds - 3) < 1e-5, "%g s, %g s",
		          act->seconds, span->seconds);
		CHECK(t, span->calls == 1 && span->flops == 7 && span->bytes == 9);
	}
	mem_free(rows);
}

struct slice { long long tid, from, to; };

static int outer_first(const void *a, const void *b)
{
	const struct slice *x = a, *y = b;

	if (x->tid != y->tid)
		return x->tid < y->tid ? -1 : 1;
	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	return x->to > y->to ? -1 : x->to < y->to;
}

/* Reads the file's slices as a reader of this format does; false when an event lacks something or two of a track
 * cross. */
static bool well_formed(const json_t *events)
{
	struct slice *s = mem_array(json_array_size(events) + 1, sizeof(*s));
	struct slice open[8];
	size_t n = 0;
	bool good = true;

	for (size_t i = 0; i < json_array_size(events); i++) {
		json_t *v = json_array_get(events, i), *ts = json_object_get(v, "ts"), *dur = json_object_get(v, "dur");
		const char *ph = json_string_value(json_object_get(v, "ph"));

		good = good && ph && json_is_string(json_object_get(v, "name")) &&
		       json_is_integer(json_object_get(v, "pid")) && json_is_integer(json_object_get(v, "tid"));
		if (!ph || strcmp(ph, "X") != 0) {
			good = good && ph && !strcmp(ph, "M");
			continue;
		}
		/* else it is the main thread */
		good = good &&
		       json_integer_value(json_object_get(v, "tid")) > json_integer_value(json_object_get(v, "pid"));
		good = good && json_is_number(ts) && json_is_number(dur) && json_number_value(ts) >= 0 &&
		       json_number_value(dur) >= 0;
		long long from = llround(json_number_value(ts) * 1e3),
			  to = from + llround(json_number_value(dur) * 1e3);
		s[n++] = (struct slice){ json_integer_value(json_object_get(v, "tid")), from, to };
	}
	qsort(s, n, sizeof(*s), outer_first);
	for (size_t i = 0, depth = 0; i < n && good; i++) {
		while (depth && (open[depth - 1].tid != s[i].tid || open[depth - 1].to <= s[i].from))
			depth--;
		good = depth < ARRAY_LEN(open) && (!depth || s[i].to <= open[depth - 1].to);
		open[depth++ % ARRAY_LEN(open)] = s[i];
	}
	mem_free(s);
	return good && n > 0;
}

/* Of a file that is long to be read as JSON: one object, its braces and events, how many were left out. */
static void check_full(struct test *t, const char *text)
{
	static const char event[] = "\"ph\":\"X\"", left_out[] = "\"events_left_out\":";
	long depth = 0, most = 0;
	size_t events = 0;

	for (const char *at = text; *at; at++) {
		depth += *at == '{' ? 1 : *at == '}' ? -1 : 0;
		most = MAX(most, depth);
		events += *at == '"' && !strncmp(at, event, sizeof(event) - 1);
		CHECK(t, depth > 0 || at[strspn(at, "}\n")] == 0);
	}
	CHECK_MSG(t, depth == 0 && most >= 2 && events >= TRACE_EVENTS, "%ld deep at the end, %zu events", depth,
	          events);
	const char *told = strstr(text, left_out);
	CHECK(t, told && strtol(told + sizeof(left_out) - 1, NULL, 10) > 0);
}

static void writing(struct test *t, struct trace *trace)
{
	char *path = mem_printf("%s/trace.json", test_tmp());
	struct err e = ERR_INIT;
	struct buf text = BUF_INIT;

	test_case(t, "the file is one JSON object of events that do not cross");
	CHECK_MSG(t, trace_write(trace, path, &e) == 0, "%s", e.msg);
	json_t *j = jsonx_load_file(path, &e);
	CHECK_MSG(t, json_is_array(json_object_get(j, "traceEvents")), "%s", e.msg);
	CHECK(t, well_formed(json_object_get(j, "traceEvents")));
	json_t *left_out = json_object_get(json_object_get(j, "otherData"), "events_left_out");
	CHECK(t, json_is_integer(left_out) && json_integer_value(left_out) == 0);
	json_decref(j);

	test_case(t, "also when there were more events than it keeps");
	for (int k = 0; k < TRACE_EVENTS + 5; k++)
		trace_span(trace, "span", 0, 0, 0);
	CHECK_MSG(t, trace_write(trace, path, &e) == 0 && io_read(&text, path, &e) == 0, "%s", e.msg);
	check_full(t, buf_str(&text));
	buf_release(&text);
	mem_free(path);
}

void test_trace(struct test *t)
{
	struct op_case c = { 0 };
	struct batch b;
	struct batch_cap cap = { .rows = 40, .targets = 40, .labels = 40, .segments = 64, .docs = 64, .keys = 40 };
	struct rng_stream rng = { 5 };
	struct pool *pool = pool_new(2);
	struct trace trace;
	struct err e = ERR_INIT;
	float x[40 * 16] = { 0 };

	held_begin();
	batch_init(&b, &cap);
	batch_sample(&b, &rng, 40, 50);
	op_case_init(&c, &b.cap, false);
	uint32_t in = tape_state(&c.t, "x", AXIS_ROWS, 2, (size_t[]){ 40, 16 });
	op_act(&c.t, ACT_GELU_TANH, in, TENSOR_NONE);
	op_case_plan(&c, kernels_get(NULL, &e), pool);
	run_bind(&c.r, in, x);
	trace_init(&trace, pool, &e);
	trace_attach(&trace, &c.r, "case");
	run_step(&c.r, &b);
	run_step(&c.r, &b);
	double begin = clock_seconds();
	held_pass(3, 3);
	trace_span(&trace, "span", begin, 7, 9);
	struct tape view = { .tensors = c.p.tensors, .n_tensors = c.p.n_tensors, .cap = c.p.cap };
	struct live live = batch_live(&b);
	sums(t, &trace, held_node_seconds(&view, &c.p.nodes[0], &live));
	writing(t, &trace);
	held_end();
	trace_release(&trace);
	op_case_release(&c);
	batch_release(&b);
	pool_free(pool);
}
