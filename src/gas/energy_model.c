/* energy_model: where no counter tells, what the processor probably took:
 *
 *     joules = share · seconds · n · idle  +  cpu_seconds · (busy − idle) · (clock now ÷ highest clock)²
 *
 * with the n logical processors of the machine and the watts of its row in energy_table.c; low, middle and high are the
 * row's. Dynamic power goes with f·V² and V falls with f; the square lies between the first and the third power that
 * processors show. In a virtual machine n is its own number of processors: its share of a host that it cannot see,
 * which is why the source says so. It is an estimate and is called one. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "gas/energy_parts.h"

static const double attribution = 0.3;

/* --- the processor --- */

static void read_cpuinfo(struct energy *e, const char *text)
{
	static const char *const keys[] = { "model name", "Model", "Hardware" };

	for (const char *at = text; (at = strstr(at, "processor")); at += 9)
		if ((at == text || at[-1] == '\n') && strchr("\t :", at[9]))
			e->processors++;
	for (size_t i = 0; i < ARRAY_LEN(keys) && !e->processor_name[0]; i++) {
		const char *at = strstr(text, keys[i]), *from = at ? strchr(at, ':') : NULL;
		if (from) {
			from += 1 + strspn(from + 1, " \t");
			snprintf(e->processor_name, sizeof(e->processor_name), "%.*s",
			         (int)MIN(strcspn(from, "\n"), sizeof(e->processor_name) - 1), from);
		}
	}
	const char *flags = strstr(text, "flags");
	const char *end = flags ? strchr(flags, '\n') : NULL, *seen = flags ? strstr(flags, " hypervisor") : NULL;
	e->is_virtual = seen && (!end || seen < end);
}

void energy_find_processor(struct energy *e)
{
	struct err ignored = ERR_INIT;
	struct buf text = BUF_INIT;
	char path[256], memory[128];
	double now;
	long long kb;

	energy_path(e, path, "proc/cpuinfo");
	if (io_read(&text, path, &ignored) == 0)
		read_cpuinfo(e, buf_str(&text));
	buf_release(&text);
	energy_path(e, path, "sys/hypervisor/type");
	e->is_virtual |= io_exists(path);
	if (e->processors)
		e->row = *processor_row(e->processor_name);
	energy_path(e, path, "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq");
	e->has_clock = file_number(path, &now);
	energy_path(e, path, "proc/meminfo");
	if (file_text(path, memory, sizeof(memory)) && sscanf(memory, "MemTotal: %lld kB", &kb) == 1 && kb > 0)
		e->memory_gb = (double)kb * 1024e-9;
}

/* Only where the model will want it: a reading can take milliseconds. */
void energy_read_clock(struct energy *e)
{
	char path[256];
	double now, most;

	for (size_t i = 0; i < e->n_channels; i++)
		if (e->channels[i].used && e->channels[i].part != PART_GPU)
			return;
	if (!e->has_clock)
		return;
	energy_path(e, path, "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq");
	if (!file_number(path, &now))
		return;
	energy_path(e, path, "sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq");
	if (file_number(path, &most) && most > 0)
		e->clock_ratio = MIN(now / most, 1);
}

/* --- the estimate --- */

static double joules_of(const struct energy *e, const struct energy_load *load, double share, int which)
{
	double idle = e->row.idle[which], busy = e->row.busy[which],
	       clock = which == 2 ? 1 : e->clock_ratio * e->clock_ratio;
	return share * load->seconds * e->processors * idle + load->cpu_seconds * (busy - idle) * clock;
}

bool energy_memory(const struct energy *e, double seconds, double out[3])
{
	for (int i = 0; i < 3; i++)
		out[i] = e->memory_gb * memory_watts[i] * seconds;
	return e->memory_gb > 0;
}

void energy_model(const struct energy *e, const struct energy_load *load, struct energy_total *out)
{
	double share = energy_share(load);

	*out = (struct energy_total){ .joules = NAN,
		                      .low = NAN,
		                      .high = NAN,
		                      .idle = NAN,
		                      .marginal = NAN,
		                      .machine_joules = NAN,
		                      .share = share };
	if (!e->processors || isnan(load->seconds) || isnan(load->cpu_seconds)) {
		snprintf(out->reason, sizeof(out->reason),
		         "no counter of energy can be read, and the processor is not known");
		return;
	}
	double doubt = attribution * MIN(share, 1 - share);
	out->method = ENERGY_ESTIMATED;
	out->joules = joules_of(e, load, share, 1);
	out->low = joules_of(e, load, share, 0) * (1 - doubt);
	out->high = joules_of(e, load, share, 2) * (1 + doubt);
	out->idle = MIN(share * load->seconds * energy_idle_watts(e), out->joules);
	out->marginal = out->joules - out->idle;
	snprintf(out->source, sizeof(out->source), "model: %s, %d logical processors%s", e->row.name, e->processors,
	         e->is_virtual ? ", an estimate of a virtual machine's share of its host" : "");
}
