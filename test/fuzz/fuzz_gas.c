/* gas: what it reads from outside: limits as --max-gas takes them, a prices.yaml, a power file, a run's entry, and an
 * export as gas import takes it. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "gas/ledger.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A file in memory with these bytes; its name is out. */
static int memory_file(const uint8_t *data, size_t n, char out[64])
{
	static int fd = -1;

	if (fd < 0 && (fd = memfd_create("input", 0)) < 0)
		abort();
	if (ftruncate(fd, 0) || pwrite(fd, data, n, 0) != (ssize_t)n)
		abort();
	return snprintf(out, 64, "/proc/self/fd/%d", fd);
}

static void read_entry(const uint8_t *data, size_t n)
{
	struct arena mem = ARENA_INIT;
	struct err e = ERR_INIT;
	struct entry x;
	json_t *j = jsonx_load((const char *)data, n, "input", &e);

	if (j && entry_from_json(&x, j, &mem, "input", &e) == 0)
		json_decref(entry_json(&x, true));
	json_decref(j);
	arena_release(&mem);
}

static void read_power(const char *path)
{
	struct energy_place place = { .root = "/nowhere", .power_file = path };
	struct energy *e = energy_open(&place);
	struct energy_mark from;
	struct energy_total total;

	energy_sample(e, 0);
	energy_mark(e, &from);
	energy_sample(e, 1);
	energy_since(e, &from, &(struct energy_load){ 1, 1, 1 }, &total);
	if (total.low > total.joules || total.joules > total.high)
		abort();
	energy_close(e);
}

static char folder[] = "/dev/shm/kungfu-fuzz.XXXXXX";

static void remove_folder(void)
{
	struct err ignored = ERR_INIT;
	io_remove_tree(folder, &ignored);
}

static struct ledger *new_ledger(void)
{
	struct err e = ERR_INIT;
	struct ledger *l;

	if (!mkdtemp(folder) || atexit(remove_folder))
		abort();
	char *path = io_join(folder, "ledger.db");
	if (ledger_open(&l, path, LEDGER_WRITE, &e) < 0)
		abort();
	mem_free(path);
	return l;
}

static void read_import(const char *path)
{
	static struct ledger *l;
	struct err e = ERR_INIT;
	size_t added, known;

	l = l ? l : new_ledger();
	ledger_import(l, path, &added, &known, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct err e = ERR_INIT;
	struct gas_limit limit;
	struct prices prices;
	char path[64], *text = mem_strndup((const char *)data, n);

	gas_limit_parse(&limit, text, &e);
	mem_free(text);
	memory_file(data, n, path);
	if (prices_load(&prices, path, &e) == 0)
		prices_release(&prices);
	read_entry(data, n);
	read_power(path);
	if (n < 15 || memcmp(data, "SQLite format 3", 15)) /* SQLite's own files are SQLite's to test */
		read_import(path);
	return 0;
}
