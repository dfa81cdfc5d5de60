/* program: what makes kungfu-held of kungfu: its clock is held from the first instruction on (held.h), and with it
 *
 *   - counters of energy. Where $KUNGFU_COUNTERS names a folder with a file "held", a line of it is
 *         intel-rapl:0 20        sys/class/powercap/intel-rapl:0/energy_uj rises by 20 W, from what it holds
 *         busy 1.5               proc/stat says that other processes keep 1.5 processors busy
 *   - the machine's size: two threads where nobody says a number, and 4 GiB of free memory, or HELD_MEMORY=BYTES
 *   - what happens to it from outside. HELD_AT="12.5 COMMAND" runs a shell's command, once, as soon as 12.5 s have
 *     passed; the program waits for it, and is $PPID there. So a signal, a disk that fills or a file that is taken away
 *     comes in a certain step, and no case waits for a moment that may be over. A process that the program starts does
 *     the same by its own clock. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/env.h"
#include "base/err.h"
#include "base/pool.h"
#include "gas/energy.h"
#include "held.h"

enum { MOST = 8 };

static struct counter { char path[300]; bool is_busy; double rate, first, range; } counters[MOST];
static int n_counters;
static const char *command; /* NULL: there is none, or it was run */
static double command_at;

void __real_energy_sample(struct energy *e, double now);
struct pool *__real_pool_new(int threads);

static double number_in(const char *path)
{
	double x = NAN;
	FILE *f = fopen(path, "re");

	if (f && fscanf(f, "%lf", &x) != 1)
		x = NAN;
	if (f)
		fclose(f);
	return x;
}

static void add(const char *root, const char *name, double rate)
{
	struct counter *c = &counters[n_counters];
	char range[300];

	if (n_counters++ == MOST)
		BUG("more than %d held counters", MOST);
	*c = (struct counter){ .rate = rate, .is_busy = !strcmp(name, "busy") };
	if (c->is_busy) {
		snprintf(c->path, sizeof(c->path), "%s/proc/stat", root);
		return;
	}
	snprintf(c->path, sizeof(c->path), "%s/sys/class/powercap/%s/energy_uj", root, name);
	snprintf(range, sizeof(range), "%s/sys/class/powercap/%s/max_energy_range_uj", root, name);
	c->first = number_in(c->path);
	c->range = number_in(range);
}

static void put(const struct counter *c, double now)
{
	FILE *f = fopen(c->path, "we");

	if (!f)
		BUG("%s cannot be written", c->path);
	if (c->is_busy) /* in hundredths of a second; idle, waiting and stolen time are no matter */
		fprintf(f, "cpu %.0f 0 0 0 0 0 0\n", 100 * (c->rate * now + clock_cpu_seconds()));
	else
		fprintf(f, "%.0f\n", fmod(c->first + 1e6 * c->rate * now, c->range));
	fclose(f);
}

static void put_all(double now)
{
	for (int i = 0; i < n_counters; i++)
		put(&counters[i], now);
}

static void run_command(double now)
{
	const char *line = command;

	if (!line || now < command_at)
		return;
	command = NULL; /* before it runs: the clock is read while it does */
	if (system(line) < 0)
		BUG("%s cannot be run", line);
}

static void read_command(void)
{
	const char *text = env_get("HELD_AT");
	char *end;

	if (!text)
		return;
	command_at = strtod(text, &end);
	if (end == text || *end != ' ')
		BUG("HELD_AT=%s: SECONDS COMMAND was wanted", text);
	command = end + 1;
	held_passed = run_command;
}

static void read_counters(const char *root)
{
	char path[300], name[64];
	double rate;

	snprintf(path, sizeof(path), "%s/held", root ? root : "");
	FILE *f = root ? fopen(path, "re") : NULL;
	while (f && fscanf(f, "%63s %lf", name, &rate) == 2)
		add(root, name, rate);
	if (f)
		fclose(f);
}

__attribute__((constructor)) static void begin(void)
{
	const char *memory = env_get("HELD_MEMORY");

	held_begin();
	held_memory = memory ? strtoull(memory, NULL, 10) : held_memory;
	read_command();
	read_counters(env_get("KUNGFU_COUNTERS"));
	put_all(0);
}

struct pool *__wrap_pool_new(int threads) { return __real_pool_new(threads > 0 ? threads : 2); }

/* Under the meter's lock: one at a time. */
void __wrap_energy_sample(struct energy *e, double now)
{
	put_all(now);
	__real_energy_sample(e, now);
}
