/* artefact: what lies at a path, by its content: one weight file, a folder of them, or data. See ledger.h. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/text.h"
#include "gas/ledger.h"

const char *const artefact_kinds[] = { "model", "adapter", "data", "index", "labels", NULL };

/* PEFT's name, and that of the `adapters` library. */
static bool is_adapter(const char *name)
{
	return !strcmp(name, "adapter_model.safetensors") || !strcmp(name, "adapter.safetensors");
}

static const char *kind_of_file(const char *name)
{
	if (is_adapter(name))
		return "adapter";
	if (text_ends(name, ".gguf") || text_ends(name, ".safetensors"))
		return "model";
	return "data";
}

/* Weights of a folder: the adapter's one file, or every model*.safetensors in order of name. */
static bool is_weight(const char *name, bool adapter)
{
	return adapter ? is_adapter(name) :
	                 !strncmp(name, "model", 5) && text_ends(name, ".safetensors");
}

static int add_file(struct artefact *x, struct ledger *l, const char *file, const char *known, struct buf *hashes,
                    struct err *e)
{
	char hex[40];
	struct stat st;

	if (stat(file, &st))
		return err_set(e, "cannot look at %s", file);
	x->bytes += st.st_size;
	if (known) {
		ledger_remember_hash(l, file, known);
		buf_adds(hashes, known);
		return 0;
	}
	if (ledger_hash_file(l, file, true, hex, e) < 0)
		return -1;
	buf_adds(hashes, hex);
	return 0;
}

static int add_folder(struct artefact *x, struct ledger *l, const char *path, const char *known, struct buf *hashes,
                      struct err *e)
{
	char **names;
	size_t n, weights = 0;
	int status = 0;

	if (io_list(path, &names, &n, e) < 0)
		return -1;
	bool adapter = false;
	for (size_t i = 0; i < n; i++)
		adapter |= is_weight(names[i], true);
	for (size_t i = 0; i < n; i++)
		weights += is_weight(names[i], adapter);
	x->kind = adapter ? "adapter" : weights ? "model" : "data";
	for (size_t i = 0; i < n && !status; i++) {
		char *file = io_join(path, names[i]);
		if (weights ? is_weight(names[i], adapter) : !io_is_dir(file))
			status = add_file(x, l, file, weights == 1 ? known : NULL, hashes, e);
		mem_free(file);
	}
	io_list_free(names, n);
	return status || hashes->len ? status : err_set(e, "%s holds nothing", path);
}

/* One hash stands for itself, several for the hash of them all, as run.json has it. */
static const char *whole_hash(const struct buf *hashes, struct arena *a)
{
	char hex[33];
	if (hashes->len <= 38)
		return arena_strdup(a, buf_str(hashes));
	hash_hex(hashes->data, hashes->len, hex);
	return arena_printf(a, "%s%s", strstr(hashes->data, "quick:") ? "quick:" : "", hex);
}

int artefact_from_path(struct artefact *x, struct ledger *l, const char *path, const char *known, struct arena *a,
                       struct err *e)
{
	char whole[PATH_MAX];
	struct buf hashes = BUF_INIT;

	if (!realpath(path, whole))
		return err_set(e, "there is no file or folder %s", path);
	*x = (struct artefact){ .path = arena_strdup(a, whole), .parameters = -1, .tokens = -1 };
	x->name = io_basename(x->path);
	x->kind = kind_of_file(x->name);
	int status = io_is_dir(whole) ? add_folder(x, l, whole, known, &hashes, e) :
	                                add_file(x, l, whole, known, &hashes, e);
	if (!status)
		x->hash = known && !strcmp(x->kind, "data") ? arena_strdup(a, known) : whole_hash(&hashes, a);
	buf_release(&hashes);
	return status;
}
