/* energy_rapl: processors and memory by the kernel's powercap tree (Linux, Documentation/power/powercap): energy_uj
 * rises in microjoules up to max_energy_range_uj and begins again at 0. Zones nest: cores and uncore lie inside their
 * package, DRAM does not, psys lies around it all, and intel-rapl-mmio is another door to the same package. Packages
 * and their DRAM are added, the rest is left.
 *
 * Error: packages and DRAM of Haswell and later follow a wall meter within a few per cent (Khan et al. 2018, RAPL in
 * Action); 5 % is taken. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "gas/energy_parts.h"

#define POWERCAP "sys/class/powercap"

static bool zone_name(const struct energy *e, const char *zone, char out[64])
{
	char path[256];
	energy_path(e, path, POWERCAP "/%s/name", zone);
	if (!file_text(path, out, 64))
		return false;
	out[strcspn(out, "\n")] = 0;
	return true;
}

static void add_zone(struct energy *e, const char *zone, const char *shown, enum channel_part part)
{
	char path[256], name[64];
	double now, range;

	energy_path(e, path, POWERCAP "/%s/energy_uj", zone);
	snprintf(name, sizeof(name), "rapl %.50s", shown);
	errno = 0;
	if (!file_number(path, &now)) {
		energy_missing(e, name, "%s: %s", path, errno ? strerror(errno) : "it holds no number");
		return;
	}
	struct channel *c = energy_add(e, name, part);
	if (!c)
		return;
	snprintf(c->path, sizeof(c->path), "%s", path);
	c->unit = 1e-6;
	energy_path(e, path, POWERCAP "/%s/max_energy_range_uj", zone);
	c->range = file_number(path, &range) ? range * 1e-6 : 0;
}

/* "intel-rapl:0" is a package or psys, "intel-rapl:0:1" lies in it. */
static void see_zone(struct energy *e, const char *zone)
{
	char name[64], above[64], shown[64], *colon;

	if (strncmp(zone, "intel-rapl:", 11) || !zone_name(e, zone, name))
		return;
	if (!strncmp(name, "package", 7)) {
		add_zone(e, zone, name, PART_PACKAGE);
	} else if (!strcmp(name, "dram")) {
		snprintf(above, sizeof(above), "%.60s", zone);
		colon = strrchr(above, ':');
		*colon = 0;
		snprintf(shown, sizeof(shown), "dram-%.50s", strrchr(above, ':') ? strrchr(above, ':') + 1 : "");
		add_zone(e, zone, shown, PART_DRAM);
	}
}

void energy_find_rapl(struct energy *e)
{
	struct err ignored = ERR_INIT;
	char folder[256], **zones;
	size_t n, before = e->n_channels + e->n_missing;

	energy_path(e, folder, POWERCAP);
	if (io_list(folder, &zones, &n, &ignored) < 0) {
		energy_missing(e, "rapl", "there is no %s", folder);
		return;
	}
	for (size_t i = 0; i < n; i++)
		see_zone(e, zones[i]);
	if (e->n_channels + e->n_missing == before)
		energy_missing(e, "rapl", "%s has no package", folder);
	io_list_free(zones, n);
}
