/* hub_cache: names to paths. */
#include "format/hub_cache.h"

#include <string.h>

#include "base/buf.h"
#include "base/env.h"
#include "base/io.h"
#include "base/mem.h"

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

bool hub_is_name(const char *text)
{
	size_t org = strspn(text, letters), rest = text[org] == '/' ? strspn(text + org + 1, letters) : 0;
	const char *end = text + org + 1 + rest;

	if (!org || !rest || text[0] == '.' || text[org + 1] == '.')
		return false;
	return !*end || (*end == ':' && end[1] && end[1] != '/' && !strstr(end, ".."));
}

/* mem_free; NULL: there is no home */
static char *hub_cache_dir(void)
{
	const char *hub = env_get("HF_HUB_CACHE"), *home = env_get("HF_HOME"), *cache = env_get("XDG_CACHE_HOME");

	hub = hub ? hub : env_get("HUGGINGFACE_HUB_CACHE");
	if (hub)
		return mem_strdup(hub);
	if (home)
		return io_join(home, "hub");
	if (cache)
		return io_join(cache, "huggingface/hub");
	return env_get("HOME") ? io_join(env_get("HOME"), ".cache/huggingface/hub") : NULL;
}

char *hub_cache_repo(const char *name, bool dataset)
{
	char *dir = hub_cache_dir();
	const char *slash = strchr(name, '/');
	char *repo = dir ? mem_printf("%s/%s--%.*s--%.*s", dir, dataset ? "datasets" : "models", (int)(slash - name),
	                              name, (int)strspn(slash + 1, letters), slash + 1) :
	                   NULL;

	mem_free(dir);
	return repo;
}

/* The one GGUF of a folder without config.json, else the folder. */
static char *model_in(char *dir, struct err *e)
{
	char **names = NULL, *config = io_join(dir, "config.json"), *found = NULL;
	size_t n = 0, count = 0;

	if (!io_exists(config) && io_list(dir, &names, &n, e) == 0) {
		for (size_t i = 0; i < n; i++) {
			size_t k = strlen(names[i]);
			if (k > 5 && !strcmp(names[i] + k - 5, ".gguf") && count++ == 0)
				found = io_join(dir, names[i]);
		}
		io_list_free(names, n);
	}
	mem_free(config);
	if (count != 1) {
		mem_free(found);
		return dir;
	}
	mem_free(dir);
	return found;
}

char *hub_cache_main(const char *name, bool dataset)
{
	char *repo = hub_cache_repo(name, dataset), *ref = repo ? io_join(repo, "refs/main") : NULL, *path = NULL;
	struct buf commit = BUF_INIT;
	struct err ignored = ERR_INIT; /* what is not there has a sentence of its own */

	if (ref && io_exists(ref) && io_read(&commit, ref, &ignored) == 0) {
		size_t n = strcspn(buf_str(&commit), "\r\n");
		if (n && !memchr(commit.data, '/', n))
			path = mem_printf("%s/snapshots/%.*s", repo, (int)n, commit.data);
	}
	buf_release(&commit);
	mem_free(ref);
	mem_free(repo);
	if (!path || io_exists(path))
		return path;
	mem_free(path);
	return NULL;
}

/* What of the cache a model's name means; NULL: it is not there. */
static char *cached_model(const char *model, struct err *e)
{
	const char *colon = strchr(model, ':');
	char *dir = hub_cache_main(model, false);

	if (!dir || !colon)
		return dir ? model_in(dir, e) : NULL;
	char *path = io_join(dir, colon + 1);
	mem_free(dir);
	if (io_exists(path))
		return path;
	mem_free(path);
	return NULL;
}

char *hub_resolve(const char *model, struct err *e)
{
	if (io_exists(model) || !hub_is_name(model))
		return mem_strdup(model);
	char *path = cached_model(model, e);
	if (!path)
		err_set(e,
		        "%s: no such file or folder, and the hub's cache has no such model; `kungfu pull %s` fetches "
		        "it",
		        model, model);
	return path;
}
