/* energy: channels sampled and summed, and what a stretch of time took. See energy.h.
 *
 * A counter's step is added when it lies between two good readings and could be: a step back is a wrap where the
 * counter's range is known and the step forward over it is possible in that time, else a reset. Energy of an interval
 * that was lost (a reset, a reading that failed) is not invented: the interval is left uncovered, the mean power of the
 * covered time stands for it, and the upper bound doubles that share. */
#include "gas/energy.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sentence.h"
#include "gas/energy_parts.h"

/* Below this share of the time a channel has nothing to say about the stretch. */
static const double covered_least = 0.5;
/* Of energy that ran beside others', what could as well be theirs or ours: instructions differ in what they take. */
static const double attribution = 0.3;

const char *energy_method_name(enum energy_method m)
{
	static const char *const names[] = { "none", "measured", "mixed", "estimated" };
	if ((int)m < 0 || m > ENERGY_ESTIMATED)
		BUG("energy method %d", (int)m);
	return names[m];
}

/* --- files --- */

bool file_text(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, out, size - 1);
	int why = errno;
	close(fd);
	errno = n < 0 ? why : 0;
	out[n > 0 ? n : 0] = 0;
	return n > 0;
}

bool file_number(const char *path, double *value)
{
	char text[64], *end;
	if (!file_text(path, text, sizeof(text)))
		return false;
	*value = strtod(text, &end);
	return end != text && isfinite(*value) && *value >= 0;
}

void energy_path(const struct energy *e, char out[256], const char *fmt, ...)
{
	int n = snprintf(out, 256, "%s", e->root);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(out + n, 256 - (size_t)n, fmt, ap);
	va_end(ap);
}

/* --- channels --- */

struct channel *energy_add(struct energy *e, const char *name, enum channel_part part)
{
	static const double most[] = { 20000, 2000, 500, 2000 };

	if (e->n_channels == ENERGY_CHANNELS)
		return NULL;
	struct channel *c = &e->channels[e->n_channels++];
	*c = (struct channel){ .part = part, .unit = 1, .error = 0.05, .most = most[part] };
	snprintf(c->name, sizeof(c->name), "%s", name);
	return c;
}

void energy_missing(struct energy *e, const char *name, const char *fmt, ...)
{
	va_list ap;

	if (e->n_missing == ARRAY_LEN(e->missing))
		return;
	snprintf(e->missing[e->n_missing].name, sizeof(e->missing[0].name), "%s", name);
	va_start(ap, fmt);
	vsnprintf(e->missing[e->n_missing].what, sizeof(e->missing[0].what), fmt, ap);
	va_end(ap);
	e->n_missing++;
}

static bool channel_read(struct energy *e, struct channel *c, double *value)
{
	double x, y = 1;

	if (c->read)
		return c->read(e, c, value);
	if (!file_number(c->path, &x) || (c->times[0] && !file_number(c->times, &y)))
		return false;
	*value = x * y * c->unit;
	return true;
}

/* Joules between two readings, −1 when they cannot be told. */
static double step_joules(const struct channel *c, double value, double seconds)
{
	double possible = c->most * seconds + 5, step = value - c->last;

	if (c->is_power)
		return 0.5 * (value + c->last) * seconds;
	if (step < 0 && c->range > 0)
		step += c->range;
	return step >= 0 && step <= possible ? step : -1;
}

static void channel_sample(struct energy *e, struct channel *c, double now)
{
	double value, seconds = now - c->last_time;

	if (!channel_read(e, c, &value)) {
		c->failures++;
		c->primed = false;
		return;
	}
	if (c->primed) {
		double joules = step_joules(c, value, seconds);
		if (joules < 0) {
			c->resets++;
		} else {
			c->joules += joules;
			c->covered += seconds;
		}
	}
	c->primed = true;
	c->last = value;
	c->last_time = now;
}

void energy_sample(struct energy *e, double now)
{
	for (size_t i = 0; i < e->n_channels; i++)
		if (e->channels[i].used)
			channel_sample(e, &e->channels[i], now);
	energy_read_clock(e);
}

double energy_period(const struct energy *e)
{
	double period = 0;
	for (size_t i = 0; i < e->n_channels; i++) {
		const struct channel *c = &e->channels[i];
		if (c->used && c->is_power)
			return 0.2;
		if (c->used && c->range > 0)
			period = 10;
	}
	return period;
}

/* The best source of the whole machine counts alone, else all parts. */
static void choose(struct energy *e)
{
	struct channel *best = NULL;

	for (size_t i = 0; i < e->n_channels; i++)
		if (e->channels[i].part == PART_MACHINE && (!best || e->channels[i].rank < best->rank))
			best = &e->channels[i];
	for (size_t i = 0; i < e->n_channels; i++)
		e->channels[i].used = best ? &e->channels[i] == best : e->channels[i].part != PART_MACHINE;
}

struct energy *energy_open(const struct energy_place *p)
{
	static const struct energy_place here = { .idle_watts = NAN };
	struct energy *e = mem_alloc(sizeof(*e));

	e->place = p ? *p : here;
	if (!(e->place.idle_watts > 0))
		e->place.idle_watts = NAN;
	snprintf(e->root, sizeof(e->root), "%s/", e->place.root ? e->place.root : "");
	e->clock_ratio = 1;
	energy_find_processor(e);
	energy_find_file(e);
	energy_find_rapl(e);
	energy_find_hwmon(e); /* after RAPL: amd_energy counts the same packages */
	energy_find_ipmi(e);
	energy_find_battery(e);
	energy_find_nvml(e);
	choose(e);
	return e;
}

void energy_close(struct energy *e)
{
	if (!e)
		return;
	energy_close_nvml(e);
	mem_free(e);
}

bool energy_counts_processor(const struct energy *e)
{
	for (size_t i = 0; i < e->n_channels; i++)
		if (e->channels[i].used && (e->channels[i].part == PART_MACHINE || e->channels[i].part == PART_PACKAGE))
			return true;
	return false;
}

const char *energy_processor(const struct energy *e) { return e->processor_name[0] ? e->processor_name : NULL; }

double energy_idle_watts(const struct energy *e)
{
	return !isnan(e->place.idle_watts) ? e->place.idle_watts : e->processors * e->row.idle[1];
}

/* Beside packages whose memory no counter has. */
static bool models_memory(const struct energy *e)
{
	bool package = false, memory = false;

	for (size_t i = 0; i < e->n_channels; i++) {
		const struct channel *c = &e->channels[i];
		package |= c->used && c->part == PART_PACKAGE;
		memory |= c->used && (c->part == PART_DRAM || c->part == PART_MACHINE);
	}
	return package && !memory;
}

void energy_describe(const struct energy *e, void (*say)(void *ctx, const char *name, bool used, const char *what),
                     void *ctx)
{
	static const char *const parts[] = { "the whole machine", "a processor package", "memory", "a GPU" };
	char what[192];

	for (size_t i = 0; i < e->n_channels; i++) {
		const struct channel *c = &e->channels[i];
		snprintf(what, sizeof(what), "%s, %s%s", parts[c->part], c->is_power ? "watts" : "joules",
		         c->used ? "" : "; a better source is there");
		say(ctx, c->name, c->used, what);
	}
	for (size_t i = 0; i < e->n_missing; i++)
		say(ctx, e->missing[i].name, false, e->missing[i].what);
	if (e->row.name) {
		snprintf(what, sizeof(what),
		         "%s, %d logical processors of %.2g to %.2g W idle, %.2g to %.2g W busy (%.90s)", e->row.name,
		         e->processors, e->row.idle[0], e->row.idle[2], e->row.busy[0], e->row.busy[2], e->row.source);
		say(ctx, e->is_virtual ? "model of a virtual machine's share" : "model", !energy_counts_processor(e),
		    what);
	}
	if (e->memory_gb > 0) {
		snprintf(what, sizeof(what), "%.3g GB of %.2g to %.2g W (%.80s), beside a counter that leaves it out",
		         e->memory_gb, memory_watts[0], memory_watts[2], memory_source);
		say(ctx, "model of memory", models_memory(e), what);
	}
}

/* --- a stretch of time --- */

void energy_mark(const struct energy *e, struct energy_mark *m)
{
	*m = (struct energy_mark){ 0 };
	for (size_t i = 0; i < e->n_channels; i++) {
		m->joules[i] = e->channels[i].joules;
		m->covered[i] = e->channels[i].covered;
	}
}

struct sum { double joules, low, high; bool package, memory, machine, any; };

static void add_channel(const struct channel *c, double joules, double covered, double seconds, struct sum *s,
                        struct energy_total *out)
{
	double share = seconds > 0 ? MIN(covered / seconds, 1) : 0;
	size_t at = strlen(out->source);
	const char *why = c->why;

	if (share < covered_least) {
		snprintf(out->reason, sizeof(out->reason),
		         "%s told of %.0f %% of the time only (%d resets, %d failed readings%s%s): not counted",
		         c->name, 100 * share, c->resets, c->failures, why ? ": " : "", why ? why : "");
		return;
	}
	double lost = share < 0.99 ? joules / share - joules : 0;
	if (lost > 0)
		snprintf(out->reason, sizeof(out->reason),
		         "%s lost %.0f %% of the time (%d resets, %d failed readings%s%s)", c->name, 100 * (1 - share),
		         c->resets, c->failures, why ? ": " : "", why ? why : "");
	s->joules += joules + lost;
	s->low += joules * (1 - c->error);
	s->high += (joules + 2 * lost) * (1 + c->error);
	s->any = true;
	s->machine |= c->part == PART_MACHINE;
	s->package |= c->part == PART_PACKAGE;
	s->memory |= c->part == PART_DRAM;
	snprintf(out->source + at, sizeof(out->source) - at, "%s%s", at ? ", " : "", c->name);
}

/* A package's counter says nothing of memory (most desktops, all of AMD): it is modelled beside it, or said to be
 * missing. */
static void add_memory(const struct energy *e, double seconds, struct sum *s, struct energy_total *out)
{
	double joules[3];
	size_t at = strlen(out->source);

	if (!energy_memory(e, seconds, joules)) {
		snprintf(out->source + at, sizeof(out->source) - at, ", memory not counted");
		return;
	}
	s->low += joules[0];
	s->joules += joules[1];
	s->high += joules[2];
	snprintf(out->source + at, sizeof(out->source) - at, ", model: %.3g GB of memory", e->memory_gb);
}

double energy_share(const struct energy_load *load)
{
	double all = load->machine_cpu_seconds;
	if (isnan(all) || all <= load->cpu_seconds)
		return 1;
	return load->cpu_seconds / all;
}

struct energy_load energy_expect(const struct energy *e, double seconds, double single, double threads, double others)
{
	struct energy_load load = { .seconds = seconds };
	double there = e && e->processors ? e->processors : (double)sysconf(_SC_NPROCESSORS_ONLN);
	const double want[] = { 1, threads }, takes[] = { fmin(single, seconds), fmax(seconds - single, 0) };

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		double rest = isnan(others) ? 0 : others, gets = fmin(1, there / (want[i] + rest));
		load.cpu_seconds += takes[i] * want[i] * gets;
		load.machine_cpu_seconds += takes[i] * (want[i] + rest) * gets;
	}
	if (isnan(others))
		load.machine_cpu_seconds = NAN;
	return load;
}

/* Our share of the machine's energy, and how far it may be off. The counter tells the whole; who caused what is split
 * by busy time. */
static void attribute(const struct energy *e, const struct energy_load *load, const struct sum *s,
                      struct energy_total *out)
{
	double doubt = attribution * MIN(out->share, 1 - out->share) * s->joules,
	       idle = e->place.idle_watts * load->seconds * out->share;

	out->machine_joules = s->joules;
	out->joules = s->joules * out->share;
	out->low = MAX(s->low * out->share - doubt, 0);
	out->high = MIN(s->high * out->share + doubt, s->high);
	if (!isnan(idle)) {
		out->idle = MIN(idle, out->joules);
		out->marginal = out->joules - out->idle;
	}
}

void energy_since(const struct energy *e, const struct energy_mark *from, const struct energy_load *load,
                  struct energy_total *out)
{
	struct energy_total model;
	struct sum s = { 0 };

	*out = (struct energy_total){ .joules = NAN,
		                      .low = NAN,
		                      .high = NAN,
		                      .idle = NAN,
		                      .marginal = NAN,
		                      .machine_joules = NAN,
		                      .share = energy_share(load) };
	for (size_t i = 0; i < e->n_channels; i++)
		if (e->channels[i].used)
			add_channel(&e->channels[i], e->channels[i].joules - from->joules[i],
			            e->channels[i].covered - from->covered[i], load->seconds, &s, out);
	if (s.machine || s.package) {
		bool whole = s.machine || s.memory;
		if (!whole)
			add_memory(e, load->seconds, &s, out);
		attribute(e, load, &s, out);
		out->method = whole ? ENERGY_MEASURED : ENERGY_MIXED;
		return;
	}
	energy_model(e, load, &model);
	if (s.any && model.method == ENERGY_ESTIMATED) { /* a GPU is counted, the processor is not */
		attribute(e, load, &s, out);
		out->joules += model.joules;
		out->low += model.low;
		out->high += model.high;
		out->idle = out->marginal = NAN;
		out->method = ENERGY_MIXED;
		snprintf(out->source + strlen(out->source), sizeof(out->source) - strlen(out->source), ", %s",
		         model.source);
		return;
	}
	if (out->reason[0])
		snprintf(model.reason, sizeof(model.reason), "%s", out->reason);
	*out = model;
}
