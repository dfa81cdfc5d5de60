/* ranks_start: ranks from the environment of Open MPI, PMIx, Slurm and MPICH, by the shared object kungfu-mpi.so, which
 * lies beside the program or in ../lib/kungfu. Started together, all have to be the same program on the same kernels
 * and the same C library, since their bits are added up: that is compared before anything else. */
#include "cmd/ranks_start.h"

#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/env.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/pool.h"
#include "cmd/metering.h"

static struct err kept = ERR_INIT;

void ranks_keep(const char *sentence) { snprintf(kept.msg, sizeof(kept.msg), "%s", sentence); }

int ranks_launched(int *rank)
{
	static const char *const pairs[][2] = { { "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK" },
		                                { "PMI_SIZE", "PMI_RANK" },
		                                { "SLURM_STEP_NUM_TASKS", "PMIX_RANK" } };

	*rank = 0;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		const char *size = env_get(pairs[i][0]), *number = env_get(pairs[i][1]);
		if (!size || !number)
			continue;
		*rank = atoi(number);
		return MAX(atoi(size), 1);
	}
	return 1;
}

/* --- the shared object --- */

typedef int open_ranks(struct ranks **out, size_t bytes, double timeout, struct err *e);

static char *beside_program(const char *name)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	path[MAX(n, (ssize_t)0)] = '\0';
	char *slash = strrchr(path, '/');
	if (slash)
		*slash = '\0';
	return mem_printf("%s/%s", path, name);
}

static int open_module(struct ranks **out, int size, double timeout, struct err *e)
{
	static const char *const places[] = { "kungfu-mpi.so", "../lib/kungfu/kungfu-mpi.so" };
	void *library = NULL, *found = NULL;
	open_ranks *opens;

	for (size_t i = 0; i < ARRAY_LEN(places) && !library; i++) {
		char *path = beside_program(places[i]);
		if (io_exists(path) && !(library = dlopen(path, RTLD_NOW | RTLD_GLOBAL)))
			err_set(e, "%s: %s", path, dlerror());
		mem_free(path);
		if (e->msg[0])
			return -1;
	}
	if (library)
		found = dlsym(library, "kungfu_ranks_open");
	if (!found)
		return err_set(e, "there are %d ranks, and this program is without MPI: kungfu-mpi.so is not beside it "
		                  "(make deps, then make; Debian's package is kungfu-mpi)", size);
	memcpy(&opens, &found, sizeof(opens));
	return opens(out, sizeof(struct ranks), timeout, e);
}

/* --- who are the others --- */

/* What has to be alike, and what says which processors this one may use, of which machine. */
struct identity { char program[33], kernels[32], libc[32], host[65], processors[33]; };

static int identify(const struct app *app, struct identity *i, struct err *e)
{
	struct mapping map;
	cpu_set_t set;

	*i = (struct identity){ 0 };
	if (io_map(&map, "/proc/self/exe", e) < 0)
		return -1;
	hash_hex(map.data, map.size, i->program);
	io_unmap(&map);
	snprintf(i->kernels, sizeof(i->kernels), "%s", app->kernels->name);
	snprintf(i->libc, sizeof(i->libc), "%s", gnu_get_libc_version());
	gethostname(i->host, sizeof(i->host) - 1);
	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof(set), &set);
	hash_hex(&set, sizeof(set), i->processors);
	return 0;
}

static int compare(const struct identity *a, const struct identity *b, int rank, struct err *e)
{
	if (strcmp(a->kernels, b->kernels) != 0)
		return err_set(e, "rank %d computes with the kernels %s, rank 0 with %s: their bits differ; "
		                  "KUNGFU_ISA=%s on all of them makes them alike, where all have it", rank, b->kernels,
		               a->kernels, strcmp(a->kernels, "ref") ? "avx2" : "ref");
	if (strcmp(a->program, b->program) != 0)
		return err_set(e, "rank %d on %s is another build of the program than rank 0 on %s: their bits may "
		                  "differ", rank, b->host, a->host);
	if (strcmp(a->libc, b->libc) != 0)
		return err_set(e, "rank %d on %s has another C library (%s) than rank 0 (%s): their bits may differ",
		               rank, b->host, b->libc, a->libc);
	return 0;
}

/* Ranks that may use the same processors share them. */
static void share_threads(const struct identity *all, const struct ranks *r, int64_t *threads)
{
	const struct identity *mine = &all[r->rank];
	int beside = 0;

	for (int k = 0; k < r->size; k++)
		beside += !strcmp(all[k].host, mine->host) && !strcmp(all[k].processors, mine->processors);
	if (!*threads)
		*threads = MAX(cpu_count() / MAX(beside, 1), 1);
}

static int meet(struct app *app, int64_t *threads, struct err *e)
{
	struct ranks *r = app->ranks;
	struct identity *all = mem_array((size_t)r->size, sizeof(*all));
	size_t *at = mem_array((size_t)r->size + 1, sizeof(*at));
	int status = identify(app, &all[r->rank], e);

	for (int k = 0; k <= r->size; k++)
		at[k] = (size_t)k * sizeof(*all);
	if (!status)
		status = ranks_gather(r, RANKS_TAG_ANSWER, all, at, e);
	for (int k = 1; k < r->size && !status; k++)
		status = compare(&all[0], &all[k], k, e);
	if (!status)
		share_threads(all, r, threads);
	mem_free(all);
	mem_free(at);
	return status;
}

/* --- what all of them take --- */

static void tell_gas(char out[RANKS_TEXT])
{
	json_t *gas = metering_so_far();
	char *line = jsonx_line(gas);

	if (strlen(line) < RANKS_TEXT)
		strcpy(out, line);
	mem_free(line);
	json_decref(gas);
}

void ranks_count(struct app *app)
{
	struct ranks *r = app->ranks;
	struct err ignored = ERR_INIT; /* who is gone is named by the next step */

	if (!ranks_several(r) || r->failed)
		return;
	char (*said)[RANKS_TEXT] = mem_array((size_t)r->size, sizeof(*said));
	if (ranks_ask(r, said, &ignored) == 0) {
		json_t *all = json_array();
		for (int k = 1; k < r->size; k++)
			json_array_append_new(all, json_loads(said[k], 0, NULL));
		metering_ranks(r->size, all);
	}
	mem_free(said);
}

/* --- from the beginning to the end --- */

int ranks_start(struct app *app, double timeout, int64_t *threads, struct err *e)
{
	int rank, size = ranks_launched(&rank);

	if (size < 2)
		return 0;
	if (open_module(&app->ranks, size, timeout, e) < 0)
		return -1;
	if (app->ranks->size != size)
		return err_set(e, "%d ranks were started, and kungfu-mpi.so finds %d: it was built with another MPI "
		                  "than this mpirun's", size, app->ranks->size);
	app->ranks->tells = tell_gas;
	metering_ranks(size, NULL);
	return meet(app, threads, e);
}

int ranks_end(struct app *app, int status)
{
	struct ranks *r = app->ranks;
	int rank;

	if (!r)
		return ranks_launched(&rank) > 1 && rank ? EXIT_DONE : status;
	if (ranks_follows(r) && kept.msg[0] && !r->over && !r->failed)
		ranks_agree(r, -1, NULL, &kept);
	bool follows = ranks_follows(r), failed = r->failed;
	ranks_close(r, false);
	return follows && !failed ? EXIT_DONE : status;
}
