/* energy_sensors: meters that tell watts, or joules, of the whole machine or of a part: a smart plug's file, hwmon
 * drivers, a battery.
 *
 * hwmon (Linux, Documentation/hwmon/sysfs-interface): powerN_input and powerN_average in microwatts, energyN_input in
 * microjoules. What a sensor measures is known by its driver alone, so drivers are a table; others are left. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "gas/energy_parts.h"

/* --- the user's file --- */

enum { STALE_SECONDS = 30 };

/* Watts, while somebody writes them. A file's age is told by the wall clock when it is opened, which nothing else can
 * know, and by the steady one from then on: a clock that is set makes no file old or new. */
static bool file_read(struct energy *e, struct channel *c, double *watts)
{
	struct stat st;
	double now = clock_seconds();

	(void)e;
	if (stat(c->path, &st)) {
		c->why = "it is gone";
		return false;
	}
	double changed = (double)st.st_mtim.tv_sec + 1e-9 * (double)st.st_mtim.tv_nsec;
	if (changed != c->changed)
		c->fresh = now;
	c->changed = changed;
	if (now - c->fresh > STALE_SECONDS) {
		c->why = "nobody has rewritten it for 30 s";
		return false;
	}
	if (file_number(c->path, watts))
		return true;
	c->why = "it holds no number of watts";
	return false;
}

void energy_find_file(struct energy *e)
{
	double watts;
	struct stat st;

	if (!e->place.power_file)
		return;
	errno = 0;
	if (!file_number(e->place.power_file, &watts)) {
		energy_missing(e, "power file", "%.100s: %s", e->place.power_file,
		               errno ? strerror(errno) : "it holds no number of watts");
		return;
	}
	struct channel *c = energy_add(e, "power file", PART_MACHINE);
	if (!c)
		return;
	snprintf(c->path, sizeof(c->path), "%s", e->place.power_file);
	if (stat(c->path, &st) == 0) {
		c->changed = (double)st.st_mtim.tv_sec + 1e-9 * (double)st.st_mtim.tv_nsec;
		c->fresh = clock_seconds() - MAX(clock_wall_seconds() - c->changed, 0);
	}
	c->read = file_read;
	c->is_power = true;
	c->rank = 0;
	c->error = 0.02;
}

/* --- hwmon --- */

struct driver { const char *name, *file, *label; enum channel_part part; double error; const char *what; };

/* file: beginning of the sensor's name, "" matches any number after it; label: beginning of its label, or NULL. */
static const struct driver drivers[] = {
	/* ACPI 4.0 meter, mostly the server's BMC */
	{ "power_meter", "power1_average", NULL, PART_MACHINE, 0.05, "acpi power meter" },
	{ "power_meter", "power1_input", NULL, PART_MACHINE, 0.05, "acpi power meter" },
	{ "corsairpsu", "power1_input", "power total", PART_MACHINE, 0.05, "power supply" },
	{ "macsmc_hwmon", "power1_input", "Total System Power", PART_MACHINE, 0.05, "macsmc" },
	/* cores (Ecore) lie inside */
	{ "amd_energy", "energy", "Esocket", PART_PACKAGE, 0.05, "amd_energy" },
	{ NULL, NULL, NULL, 0, 0, NULL }
};

static bool has_label(const struct energy *e, const char *device, const char *file, const char *wanted)
{
	char path[256], label[64];
	if (!wanted)
		return true;
	energy_path(e, path, "sys/class/hwmon/%s/%.*s_label", device, (int)strcspn(file, "_"), file);
	return file_text(path, label, sizeof(label)) && !strncmp(label, wanted, strlen(wanted));
}

static bool file_matches(const char *file, const char *wanted)
{
	size_t n = strlen(wanted);
	const char *end = strrchr(file, '_');
	if (strchr(wanted, '_'))
		return !strcmp(file, wanted);
	return !strncmp(file, wanted, n) && file[n] >= '0' && file[n] <= '9' && end && !strcmp(end, "_input");
}

static bool part_is_there(const struct energy *e, enum channel_part part, const char *what)
{
	for (size_t i = 0; i < e->n_channels; i++)
		if (e->channels[i].part == part && !strncmp(e->channels[i].name, what, strlen(what)))
			return true;
	return false;
}

static void add_sensor(struct energy *e, const struct driver *d, const char *device, const char *file)
{
	char path[256], name[64];
	double now;

	energy_path(e, path, "sys/class/hwmon/%s/%s", device, file);
	snprintf(name, sizeof(name), "%s %.40s", d->what, d->part == PART_MACHINE ? device : file);
	errno = 0;
	if (!file_number(path, &now)) {
		energy_missing(e, name, "%s: %s", path, errno ? strerror(errno) : "it holds no number");
		return;
	}
	struct channel *c = energy_add(e, name, d->part);
	if (!c)
		return;
	snprintf(c->path, sizeof(c->path), "%s", path);
	c->is_power = !strncmp(file, "power", 5);
	c->unit = 1e-6;
	c->error = d->error;
	c->rank = 1;
}

static void see_device(struct energy *e, const char *device)
{
	char path[256], driver[64], **files;
	struct err ignored = ERR_INIT;
	size_t n;

	energy_path(e, path, "sys/class/hwmon/%s/name", device);
	if (!file_text(path, driver, sizeof(driver)))
		return;
	driver[strcspn(driver, "\n")] = 0;
	energy_path(e, path, "sys/class/hwmon/%s", device);
	if (io_list(path, &files, &n, &ignored) < 0)
		return;
	for (const struct driver *d = drivers; d->name; d++)
		for (size_t i = 0; i < n && !strcmp(d->name, driver) &&
		                   !(d->part == PART_PACKAGE && part_is_there(e, d->part, "rapl"));
		     i++) {
			char shown[64];
			snprintf(shown, sizeof(shown), "%s %.40s", d->what, device);
			if (file_matches(files[i], d->file) && has_label(e, device, files[i], d->label) &&
			    !part_is_there(e, d->part, shown))
				add_sensor(e, d, device, files[i]);
		}
	io_list_free(files, n);
}

void energy_find_hwmon(struct energy *e)
{
	char folder[256], **devices;
	struct err ignored = ERR_INIT;
	size_t n, before = e->n_channels + e->n_missing;

	energy_path(e, folder, "sys/class/hwmon");
	if (io_list(folder, &devices, &n, &ignored) == 0) {
		for (size_t i = 0; i < n; i++)
			see_device(e, devices[i]);
		io_list_free(devices, n);
	}
	if (e->n_channels + e->n_missing == before)
		energy_missing(e, "hwmon", "%s has no meter of power that we know", folder);
}

/* --- a battery, while it discharges --- */

static bool discharges(const struct energy *e, const char *battery)
{
	char path[256], text[32];
	energy_path(e, path, "sys/class/power_supply/%s/status", battery);
	return file_text(path, text, sizeof(text)) && !strncmp(text, "Discharging", 11);
}

static bool battery_read(struct energy *e, struct channel *c, double *watts)
{
	double x, y = 1;
	const char *battery = c->name + strlen("battery ");

	if (!discharges(e, battery) || !file_number(c->path, &x) || (c->times[0] && !file_number(c->times, &y)))
		return false;
	*watts = x * y * c->unit;
	return true;
}

static void see_battery(struct energy *e, const char *battery)
{
	char name[64], power[256], current[256], voltage[256];
	double x;

	energy_path(e, power, "sys/class/power_supply/%s/power_now", battery);
	energy_path(e, current, "sys/class/power_supply/%s/current_now", battery);
	energy_path(e, voltage, "sys/class/power_supply/%s/voltage_now", battery);
	bool has_power = file_number(power, &x), has_current = file_number(current, &x) && file_number(voltage, &x);
	if (!has_power && !has_current)
		return;
	snprintf(name, sizeof(name), "battery %.40s", battery);
	if (!discharges(e, battery)) {
		energy_missing(e, name, "it does not discharge: the mains feed this machine");
		return;
	}
	struct channel *c = energy_add(e, name, PART_MACHINE);
	if (!c)
		return;
	snprintf(c->path, sizeof(c->path), "%s", has_power ? power : current);
	if (!has_power)
		snprintf(c->times, sizeof(c->times), "%s", voltage);
	c->unit = has_power ? 1e-6 : 1e-12;
	c->is_power = true;
	c->read = battery_read;
	c->rank = 3;
	c->error = 0.1;
}

void energy_find_battery(struct energy *e)
{
	char folder[256], **names;
	struct err ignored = ERR_INIT;
	size_t n;

	energy_path(e, folder, "sys/class/power_supply");
	if (io_list(folder, &names, &n, &ignored) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (!strncmp(names[i], "BAT", 3) || !strncmp(names[i], "CMB", 3) ||
		    !strncmp(names[i], "macsmc-battery", 14))
			see_battery(e, names[i]);
	io_list_free(names, n);
}
