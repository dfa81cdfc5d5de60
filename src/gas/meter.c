/* meter: time, memory and energy between two moments of this process. Everything it reads is a system call on a
 * small file; nothing is allocated between meter_begin and meter_end.
 *
 * One lock guards the energy channels and the sums; the thread takes it for the microseconds of a sample. */
#include "gas/meter.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "gas/energy_parts.h"

enum { PHASES = 32 };
static const double rss_period = 1;

struct phase { char name[32]; long count; double seconds, cpu_seconds, joules, low, high; };

struct meter {
	struct meter_options options;
	struct energy *energy;
	char stat_path[256];
	struct meter_span begin, phase_begin;
	double rss_sum;
	long rss_n;
	struct phase phases[PHASES];
	int n_phases, phase;           /* phase: the one that runs, −1 */

	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	bool has_thread, stop;
};

/* --- readings --- */

static int64_t rss_now(void)
{
	char text[128];
	long long size, resident;
	if (!file_text("/proc/self/statm", text, sizeof(text)) || sscanf(text, "%lld %lld", &size, &resident) != 2)
		return -1;
	return resident * sysconf(_SC_PAGESIZE);
}

static int64_t io_field(const char *text, const char *name)
{
	const char *at = strstr(text, name);
	return at ? strtoll(at + strlen(name), NULL, 10) : -1;
}

static void io_now(int64_t *read, int64_t *written)
{
	char text[512];
	bool good = file_text("/proc/self/io", text, sizeof(text));
	*read = good ? io_field(text, "\nread_bytes:") : -1;
	*written = good ? io_field(text, "\nwrite_bytes:") : -1;
}

/* Busy seconds of all processors: user, nice, system, irq and softirq of the first line (proc(5)); idle, iowait and
 * steal are not busy. */
static double machine_cpu_now(const struct meter *m)
{
	char text[256];
	long long t[7];
	if (!file_text(m->stat_path, text, sizeof(text)) ||
	    sscanf(text, "cpu %lld %lld %lld %lld %lld %lld %lld", &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6]) !=
	            7)
		return NAN;
	return (double)(t[0] + t[1] + t[2] + t[5] + t[6]) / (double)sysconf(_SC_CLK_TCK);
}

/* Under the lock. */
static void sample(struct meter *m, double now)
{
	int64_t rss = rss_now();
	energy_sample(m->energy, now);
	if (rss >= 0) {
		m->rss_sum += (double)rss;
		m->rss_n++;
	}
}

static void open_span(struct meter *m, struct meter_span *s)
{
	s->seconds = clock_seconds();
	sample(m, s->seconds);
	s->cpu_seconds = clock_cpu_seconds();
	s->suspended = clock_suspended_seconds();
	s->machine_cpu = machine_cpu_now(m);
	io_now(&s->bytes_read, &s->bytes_written);
	s->rss_sum = m->rss_sum;
	s->rss_n = m->rss_n;
	energy_mark(m->energy, &s->energy);
}

static int64_t count_since(int64_t now, int64_t then) { return now < 0 || then < 0 ? -1 : now - then; }

static void price(const struct meter *m, struct gas *g)
{
	const struct prices *p = m->options.prices;
	const char *source;
	if (!p)
		return;
	prices_cost(p, g->energy.joules, g->energy.low, g->energy.high, g->seconds, g->human_seconds, &g->money);
	double grams = prices_carbon(p, &source) * p->pue / 3.6e6;
	g->grams_co2 = g->energy.joules * grams;
	g->grams_co2_low = g->energy.low * grams;
	g->grams_co2_high = g->energy.high * grams;
}

static void read_span(struct meter *m, const struct meter_span *from, struct gas *g)
{
	struct meter_span now;

	open_span(m, &now);
	g->seconds = now.seconds - from->seconds;
	g->cpu_seconds = now.cpu_seconds - from->cpu_seconds;
	g->suspended_seconds = MAX(now.suspended - from->suspended, 0);
	g->peak_rss_bytes = (int64_t)mem_rss_peak();
	g->mean_rss_bytes = now.rss_n > from->rss_n ?
	                            (int64_t)((now.rss_sum - from->rss_sum) / (double)(now.rss_n - from->rss_n)) :
	                            -1;
	g->bytes_read = count_since(now.bytes_read, from->bytes_read);
	g->bytes_written = count_since(now.bytes_written, from->bytes_written);
	struct energy_load load = { g->seconds, g->cpu_seconds, now.machine_cpu - from->machine_cpu };
	energy_since(m->energy, &from->energy, &load, &g->energy);
	price(m, g);
}

/* --- the thread --- */

static void *watch(void *arg)
{
	struct meter *m = arg;
	double period = energy_period(m->energy);

	period = period > 0 ? MIN(period, rss_period) : rss_period;
	pthread_mutex_lock(&m->lock);
	while (!m->stop) {
		struct timespec until;
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += (long)(fmod(period, 1) * 1e9);
		until.tv_sec += (time_t)period + until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		if (pthread_cond_timedwait(&m->wake, &m->lock, &until) && !m->stop)
			sample(m, clock_seconds());
	}
	pthread_mutex_unlock(&m->lock);
	return NULL;
}

/* With every signal blocked, so that Ctrl-C reaches the thread that looks for it. Without the thread only some readings
 * are lost. */
static void start_thread(struct meter *m)
{
	sigset_t all, old;
	pthread_condattr_t a;

	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(&m->wake, &a);
	pthread_condattr_destroy(&a);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	m->has_thread = !m->options.still && pthread_create(&m->thread, NULL, watch, m) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void stop_thread(struct meter *m)
{
	pthread_mutex_lock(&m->lock);
	m->stop = true;
	pthread_cond_signal(&m->wake);
	pthread_mutex_unlock(&m->lock);
	if (m->has_thread)
		pthread_join(m->thread, NULL);
}

/* --- what is exported --- */

struct meter *meter_begin(const struct meter_options *o)
{
	struct meter *m = mem_alloc(sizeof(*m));

	m->options = *o;
	m->phase = -1;
	m->energy = energy_open(&o->place);
	snprintf(m->stat_path, sizeof(m->stat_path), "%s/proc/stat", o->place.root ? o->place.root : "");
	pthread_mutex_init(&m->lock, NULL);
	open_span(m, &m->begin);
	start_thread(m);
	return m;
}

void meter_open_span(struct meter *m, struct meter_span *s)
{
	pthread_mutex_lock(&m->lock);
	open_span(m, s);
	pthread_mutex_unlock(&m->lock);
}

void meter_read_span(struct meter *m, const struct meter_span *s, struct gas *g)
{
	pthread_mutex_lock(&m->lock);
	read_span(m, s, g);
	pthread_mutex_unlock(&m->lock);
}

void meter_read(struct meter *m, struct gas *g) { meter_read_span(m, &m->begin, g); }

void meter_others(struct meter *m, double *others, double *doubt)
{
	struct meter_span now;

	meter_open_span(m, &now);
	double seconds = fmax(now.seconds - m->begin.seconds, 1e-3),
	       all = now.machine_cpu - m->begin.machine_cpu, own = now.cpu_seconds - m->begin.cpu_seconds;
	*others = isnan(all) ? NAN : fmax(all - own, 0) / seconds;
	*doubt = 2 / (double)sysconf(_SC_CLK_TCK) / seconds;
}

const struct energy *meter_energy(const struct meter *m) { return m->energy; }

static void end_phase(struct meter *m)
{
	struct gas g;

	if (m->phase < 0)
		return;
	gas_none(&g);
	meter_read_span(m, &m->phase_begin, &g);
	struct phase *p = &m->phases[m->phase];
	p->count++;
	p->seconds += g.seconds;
	p->cpu_seconds += g.cpu_seconds;
	p->joules += g.energy.joules;
	p->low += g.energy.low;
	p->high += g.energy.high;
	m->phase = -1;
}

void meter_phase(struct meter *m, const char *name)
{
	int i = 0;

	if (!m->options.phases)
		return;
	if (m->phase >= 0 && !strcmp(m->phases[m->phase].name, name))
		return;
	end_phase(m);
	while (i < m->n_phases && strcmp(m->phases[i].name, name))
		i++;
	if (i == m->n_phases && i < PHASES) {
		snprintf(m->phases[i].name, sizeof(m->phases[i].name), "%s", name);
		m->n_phases++;
	}
	m->phase = i < PHASES ? i : -1;
	meter_open_span(m, &m->phase_begin);
}

json_t *meter_phases(struct meter *m)
{
	json_t *list = json_array();

	end_phase(m);
	for (int i = 0; i < m->n_phases; i++) {
		const struct phase *p = &m->phases[i];
		json_array_append_new(list, json_pack("{s:s, s:I, s:f, s:f, s:o, s:o, s:o}", "name", p->name, "count",
		                                      (json_int_t)p->count, "seconds", p->seconds, "cpu_seconds",
		                                      p->cpu_seconds, "joules", jsonx_number(p->joules), "joules_low",
		                                      jsonx_number(p->low), "joules_high", jsonx_number(p->high)));
	}
	return list;
}

void meter_end(struct meter *m)
{
	if (!m)
		return;
	stop_thread(m);
	pthread_cond_destroy(&m->wake);
	pthread_mutex_destroy(&m->lock);
	energy_close(m->energy);
	mem_free(m);
}
