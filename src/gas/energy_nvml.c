/* energy_nvml: GPUs by NVIDIA's management library, which comes with the driver and is loaded when the program runs:
 * millijoules since the driver was loaded, Volta and later. Its functions and numbers are those of NVML's public
 * interface.
 *
 * A GPU counts only while nobody else computes on it: its energy is either ours or another's, and there is no clock of
 * busy time to split it by. */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "gas/energy_parts.h"

enum { NVML_DONE = 0, NVML_TOO_SMALL = 7, PROCESSES = 64 };
typedef void *nvml_device;
struct nvml_process { unsigned pid; unsigned long long memory; unsigned gpu_instance, compute_instance; };

struct nvml {
	void *library;
	int (*shutdown)(void);
	int (*energy)(nvml_device, unsigned long long *millijoules);
	int (*processes)(nvml_device, unsigned *n, struct nvml_process *list); /* NULL in old libraries */
};

static bool others_compute(const struct nvml *n, nvml_device device)
{
	struct nvml_process list[PROCESSES];
	unsigned count = PROCESSES;
	int status = n->processes ? n->processes(device, &count, list) : NVML_DONE;

	if (!n->processes || (status != NVML_DONE && status != NVML_TOO_SMALL))
		return false;
	if (status == NVML_TOO_SMALL)
		return true;
	for (unsigned i = 0; i < count; i++)
		if (list[i].pid != (unsigned)getpid())
			return true;
	return false;
}

static bool nvml_read(struct energy *e, struct channel *c, double *joules)
{
	const struct nvml *n = e->nvml;
	unsigned long long millijoules;

	if (others_compute(n, c->device) || n->energy(c->device, &millijoules) != NVML_DONE)
		return false;
	*joules = 1e-3 * (double)millijoules;
	return true;
}

static void add_devices(struct energy *e, int (*count)(unsigned *), int (*handle)(unsigned, nvml_device *))
{
	const struct nvml *n = e->nvml;
	unsigned devices = 0;
	unsigned long long now;

	count(&devices);
	for (unsigned i = 0; i < devices; i++) {
		char name[64];
		nvml_device device;
		snprintf(name, sizeof(name), "nvml gpu-%u", i);
		if (handle(i, &device) != NVML_DONE || n->energy(device, &now) != NVML_DONE) {
			energy_missing(e, name, "this GPU has no counter of energy");
			continue;
		}
		struct channel *c = energy_add(e, name, PART_GPU);
		if (!c)
			return;
		c->device = device;
		c->read = nvml_read;
	}
	if (!devices)
		energy_missing(e, "nvml", "there is no NVIDIA GPU");
}

void energy_find_nvml(struct energy *e)
{
	const char *name = e->place.nvml ? e->place.nvml : e->place.root ? "" : "libnvidia-ml.so.1";
	void *library = *name ? dlopen(name, RTLD_NOW | RTLD_LOCAL) : NULL;

	if (!library) {
		energy_missing(e, "nvml", "there is no NVIDIA driver");
		return;
	}
	struct nvml *n = mem_alloc(sizeof(*n));
	int (*init)(void) = (int (*)(void))dlsym(library, "nvmlInit_v2");
	int (*count)(unsigned *) = (int (*)(unsigned *))dlsym(library, "nvmlDeviceGetCount_v2");
	int (*handle)(unsigned, nvml_device *) =
		(int (*)(unsigned, nvml_device *))dlsym(library, "nvmlDeviceGetHandleByIndex_v2");
	n->library = library;
	n->shutdown = (int (*)(void))dlsym(library, "nvmlShutdown");
	n->energy = (int (*)(nvml_device, unsigned long long *))dlsym(library, "nvmlDeviceGetTotalEnergyConsumption");
	n->processes = (int (*)(nvml_device, unsigned *,
	                        struct nvml_process *))dlsym(library, "nvmlDeviceGetComputeRunningProcesses_v3");
	if (!init || !count || !handle || !n->energy || init() != NVML_DONE) {
		energy_missing(e, "nvml", "its library could not be set up");
		dlclose(library);
		mem_free(n);
		return;
	}
	e->nvml = n;
	add_devices(e, count, handle);
}

void energy_close_nvml(struct energy *e)
{
	struct nvml *n = e->nvml;
	if (!n)
		return;
	if (n->shutdown)
		n->shutdown();
	dlclose(n->library);
	mem_free(n);
	e->nvml = NULL;
}
