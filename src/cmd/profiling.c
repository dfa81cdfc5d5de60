/* profiling: where the time of a run went, beside what this machine could do. A share is the time that the
 * machine's best product or its memory would have needed, over the time that it took; bytes that came from a cache
 * make it more than 100 %. */
#include "cmd/profiling.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/machine_profile.h"

/* Where there is none, or one that is older than a number of it, it is measured. */
static int find_machine(struct profiling *p, struct app *app, struct err *e)
{
	if (machine_recall(app, &p->machine) && p->machine.int8_ops)
		return 0;
	log_say("measuring the machine first (kungfu bench does it too)");
	return machine_profile(app, &p->machine, e);
}

int profiling_begin(struct profiling *p, struct app *app, struct err *e)
{
	if (!p->on)
		return 0;
	return find_machine(p, app, e) < 0 ? -1 : trace_init(&p->trace, app->pool, e);
}

struct trace *profiling_trace(struct profiling *p) { return p->on ? &p->trace : NULL; }

void profiling_release(struct profiling *p)
{
	if (p->on)
		trace_release(&p->trace);
}

static double share(double amount, double seconds, double rate)
{
	return seconds > 0 && rate > 0 ? amount / seconds / rate : 0;
}

/* What its operations could do here. */
static double best_rate(const struct profile *m, const struct trace_row *r)
{
	return r->int8 ? m->int8_ops : m->sgemm_flops;
}

static void show_row(const struct profiling *p, const struct trace_row *r, double all)
{
	const struct profile *m = &p->machine;
	bool is_span = r->flops == 0 && r->bytes == 0;
	char name[64];

	snprintf(name, sizeof(name), "%s%s", r->name, r->int8 ? " int8" : "");
	log_say("%-16s %-9s %-12s %7zu %9.4f %5.1f %% %8.1f %4.0f %% %7.1f %4.0f %%", name,
	        is_span ? "" : phase_name(r->phase), r->shape, r->calls, r->seconds, 100 * r->seconds / all,
	        r->flops / r->seconds / 1e9, 100 * share(r->flops, r->seconds, best_rate(m, r)),
	        r->bytes / r->seconds / 1e9, 100 * share(r->bytes, r->seconds, m->read_bytes));
}

static json_t *row_json(const struct profiling *p, const struct trace_row *r)
{
	const struct profile *m = &p->machine;
	json_t *j = json_pack("{s:s, s:s, s:s, s:I}", "op", r->name, "phase", phase_name(r->phase), "shape", r->shape,
	                      "calls", (json_int_t)r->calls);

	json_object_set_new(j, "compute", json_string(r->int8 ? "int8" : "f32"));
	json_object_set_new(j, "seconds", json_real(r->seconds));
	json_object_set_new(j, "flops_per_second", jsonx_number(r->flops / r->seconds));
	json_object_set_new(j, "bytes_per_second", jsonx_number(r->bytes / r->seconds));
	json_object_set_new(j, "flops_share", json_real(share(r->flops, r->seconds, best_rate(m, r))));
	json_object_set_new(j, "bytes_share", json_real(share(r->bytes, r->seconds, m->read_bytes)));
	return j;
}

static void show(struct profiling *p, struct app *app, const char *path)
{
	size_t n;
	struct trace_row *rows = trace_rows(&p->trace, &n);
	json_t *list = json_array();
	double all = 0;

	for (size_t i = 0; i < n; i++)
		all += rows[i].seconds;
	log_say("%-16s %-9s %-12s %7s %9s %7s %8s %6s %7s %6s", "op", "phase", "shape", "calls", "seconds", "share",
	        "GFLOP/s", "of max", "GB/s", "of max");
	for (size_t i = 0; i < n; i++)
		if (rows[i].calls && rows[i].seconds > 0) {
			show_row(p, &rows[i], all);
			json_array_append_new(list, row_json(p, &rows[i]));
		}
	log_say("%.3f s in all; the most is %.1f GFLOP/s (int8 %.1f) and %.1f GB/s; the trace is in %s", all,
	        p->machine.sgemm_flops / 1e9, p->machine.int8_ops / 1e9, p->machine.read_bytes / 1e9, path);
	if (app->json) {
		json_t *j = json_pack("{s:O, s:f, s:s, s:o}", "profile", list, "profile_seconds", all, "trace", path,
		                      "machine", profile_json(&p->machine));
		app_json(j);
		json_decref(j);
	}
	json_decref(list);
	mem_free(rows);
}

int profiling_end(struct profiling *p, struct app *app, const char *dir, struct err *e)
{
	if (!p->on)
		return 0;
	char *path = p->path ? mem_strdup(p->path) : io_join(dir, "trace.json");
	int status = trace_write(&p->trace, path, e);
	if (status == 0)
		show(p, app, path);
	mem_free(path);
	return status;
}
