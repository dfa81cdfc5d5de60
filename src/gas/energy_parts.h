/* energy_parts: what the energy sources share. A source finds its channels when it is opened; a channel is one counter
 * of joules or one meter of watts. */
#ifndef GAS_ENERGY_PARTS_H
#define GAS_ENERGY_PARTS_H

#include <stdint.h>

#include "gas/energy.h"

enum channel_part { PART_MACHINE, PART_PACKAGE, PART_DRAM, PART_GPU };

struct channel {
	char name[64];                 /* "rapl package-0" */
	enum channel_part part;
	bool is_power;                 /* watts, to be integrated; else joules that only rise */
	int rank;                      /* among sources of the whole machine: lower is better */
	/* NULL: the number in path (times the one in times, if there is one) times unit. False: cannot be read now. */
	bool (*read)(struct energy *e, struct channel *c, double *value);
	char path[256], times[256];
	double unit;
	double range;                  /* joules at which the counter starts again at 0; 0: never */
	double error;                  /* relative, of a reading */
	double most;                   /* watts that cannot be: a step above is a reset, not energy */
	const char *why;               /* the last failed reading's reason, where the reader tells; or NULL */
	void *device;
	bool used;
	/* A file that someone rewrites: when it last changed, and the steady time at which that was seen. */
	double changed, fresh;

	/* What came of it. Sums grow by whole intervals between two good readings. */
	bool primed;
	double last, last_time, joules, covered;
	int resets, failures;
};

/* for the model: watts of one logical processor, idle and busy, with the published spread */
struct processor {
	double idle[3], busy[3];       /* low, middle, high */
	const char *name, *source;
};

struct energy {
	struct energy_place place;
	char root[200];
	struct channel channels[ENERGY_CHANNELS];
	size_t n_channels;
	struct { char name[64], what[192]; } missing[24]; /* sources that could not be used, and why */
	size_t n_missing;
	/* the machine, for the model */
	char processor_name[96];
	bool is_virtual, has_clock;
	int processors;
	double memory_gb;              /* 0: not known */
	struct processor row;
	double clock_ratio;            /* now over highest, as last seen; 1 where it is not told */
	void *nvml;
};

/* Each adds its channels, or a line of what is missing. */
void energy_find_file(struct energy *e);
void energy_find_hwmon(struct energy *e);
void energy_find_battery(struct energy *e);
void energy_find_ipmi(struct energy *e);
void energy_find_rapl(struct energy *e);
void energy_find_nvml(struct energy *e);
void energy_close_nvml(struct energy *e);
void energy_find_processor(struct energy *e);
void energy_read_clock(struct energy *e);
const struct processor *processor_row(const char *name);   /* energy_table.c */
extern const double memory_watts[3];                       /* a GB of memory: low, middle, high */
extern const char *const memory_source;
/* Memory by the model, for where a counter tells of packages alone; false: its size is not known. */
bool energy_memory(const struct energy *e, double seconds, double out[3]);

struct channel *energy_add(struct energy *e, const char *name, enum channel_part part); /* NULL: there are too many */
void energy_missing(struct energy *e, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* below root */
void energy_path(const struct energy *e, char out[256], const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Plain system calls: nothing is allocated. False: it cannot be read; errno says why. */
bool file_text(const char *path, char *out, size_t size);
bool file_number(const char *path, double *value);
/* DCMI's answer to Get Power Reading (IPMI DCMI 1.5, 6.6.1): watts now, or −1. */
double dcmi_watts(const uint8_t *data, size_t n);

#endif
