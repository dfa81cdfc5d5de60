/* hub: the list of files, blobs, links. */
#include "cmd/pull/hub.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/env.h"
#include "base/human.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sha.h"
#include "base/stop.h"
#include "base/text.h"
#include "cmd/pull/http.h"
#include "format/hub_cache.h"

struct hub_file {
	char *name, *url, *blob; /* blob: the path in the cache */
	size_t size;
	bool large, there; /* large: its hash is SHA-256 */
	char hash[65];
};

struct hub {
	const struct hub_wish *w;
	struct http *http;
	char *endpoint, *token, *repo;
	struct hub_file *file;
	size_t n;
	char commit[41];
	struct transfer *transfers;
	size_t n_transfers, total;
	double begun;
	int lock; /* of the repo's folder: what is half fetched has one writer; −1: not yet */
};

/* --- settings --- */

static char *read_token(void)
{
	const char *token = env_get("HF_TOKEN"), *path = env_get("HF_TOKEN_PATH"), *home = env_get("HF_HOME");
	struct buf text = BUF_INIT;
	struct err ignored = ERR_INIT; /* without a token public models are there */
	if (token)
		return mem_strdup(token);
	char *file = path ? mem_strdup(path) : home ? io_join(home, "token") : NULL;
	if (!file && env_get("HOME"))
		file = io_join(env_get("HOME"), ".cache/huggingface/token");
	char *found = NULL;
	if (file && io_exists(file) && io_read(&text, file, &ignored) == 0) {
		size_t n = strcspn(buf_str(&text), " \r\n");
		found = n ? mem_strndup(text.data, n) : NULL;
	}
	buf_release(&text);
	mem_free(file);
	return found;
}

static int begin(struct hub *h, const struct hub_wish *w, struct err *e)
{
	const char *endpoint = env_get("HF_ENDPOINT"), *offline = env_get("HF_HUB_OFFLINE");
	*h = (struct hub){ .w = w, .begun = clock_seconds(), .lock = -1 };
	if (offline && strcmp(offline, "0") != 0)
		return err_set(e, "HF_HUB_OFFLINE is set: nothing is fetched");
	h->endpoint = mem_strdup(endpoint ? endpoint : "https://huggingface.co");
	size_t n = strlen(h->endpoint);
	while (n && h->endpoint[n - 1] == '/')
		h->endpoint[--n] = 0;
	if (strncmp(h->endpoint, "https://", 8) != 0 && strncmp(h->endpoint, "http://", 7) != 0)
		return err_set(e, "HF_ENDPOINT is %.200s, wanted an address that begins with https:// or http://",
		               h->endpoint);
	h->token = read_token();
	if (h->token && strpbrk(h->token, "\r\n"))
		return err_set(e, "HF_TOKEN has a line end");
	h->repo = hub_cache_repo(w->name, w->dataset);
	if (!h->repo)
		return err_set(e, "there is no HOME, HF_HOME or HF_HUB_CACHE to keep a model in");
	h->http = http_new(e);
	return h->http ? 0 : -1;
}

static void release(struct hub *h)
{
	for (size_t i = 0; i < h->n; i++) {
		mem_free(h->file[i].name);
		mem_free(h->file[i].url);
		mem_free(h->file[i].blob);
	}
	mem_free(h->file);
	mem_free(h->endpoint);
	mem_free(h->token);
	mem_free(h->repo);
	mem_free(h->transfers);
	http_free(h->http);
	if (h->lock >= 0)
		io_unlock(h->lock);
}

/* --- the list of files --- */

static int refuse(const struct hub *h, const struct transfer *t, const char *what, struct err *e)
{
	const struct hub_wish *w = h->w;
	if (t->status == 401 || t->status == 403)
		return err_set(e, "%s: %s of %s is not for everybody (%ld): %s", h->endpoint, what, w->name, t->status,
		               h->token ? "the token that is given does not open it" : "HF_TOKEN gives a token");
	if (t->status == 404)
		return err_set(e, "%s: there is no %s of %s at the revision %s (404)", h->endpoint, what, w->name,
		               w->revision);
	return err_set(e, "%s: %s of %s: %s", h->endpoint, what, w->name, t->why);
}

/* A path inside of a folder: no part of it leads out. */
static bool name_ok(const char *name)
{
	if (!*name || *name == '/' || strlen(name) > 1000)
		return false;
	for (const char *at = name; *at;) {
		size_t n = strcspn(at, "/");
		if (n == 0 || (n == 1 && *at == '.') || (n == 2 && !strncmp(at, "..", 2)))
			return false;
		at += n;
		if (*at == '/' && !*++at)
			return false;
	}
	return true;
}

static bool is_hex(const char *text, size_t n)
{
	return text && strlen(text) == n && strspn(text, "0123456789abcdef") == n;
}

/* What a model is read from, where nobody says: its description, its tokenizer, its weights in one form. */
static bool is_usual(const char *name, bool safetensors)
{
	static const char *const kinds[] = { ".json", ".jinja", ".model", ".txt", ".tiktoken", ".safetensors" };
	bool deep =
		strchr(name, '/') && fnmatch("additional_chat_templates/*", name, 0) && fnmatch("*_Pooling/*", name, 0);
	if (deep || name[0] == '.')
		return false;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (text_ends(name, kinds[i]))
			return true;
	return !safetensors && fnmatch("pytorch_model*.bin", name, 0) == 0;
}

/* What rows are read from (data/rows.h). */
static bool has_rows(const char *name)
{
	static const char *const kinds[] = { ".jsonl", ".json", ".csv", ".tsv", ".txt" };
	char *plain = mem_strdup(name);
	bool has = false;

	if (text_ends(plain, ".gz"))
		plain[strlen(plain) - 3] = 0;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		has |= text_ends(plain, kinds[i]);
	mem_free(plain);
	return has && name[0] != '.';
}

static bool is_wanted(const struct hub_wish *w, const char *name, bool safetensors)
{
	if (w->file)
		return !strcmp(w->file, name);
	for (const char *const *p = w->include; p && *p; p++)
		if (fnmatch(*p, name, 0) == 0)
			return true;
	return !w->include && (w->dataset ? has_rows(name) : is_usual(name, safetensors));
}

static void escape_path(struct buf *out, const char *name)
{
	for (; *name; name++) {
		if (isalnum((unsigned char)*name) || strchr("-_.~/", *name))
			buf_addc(out, *name);
		else
			buf_addf(out, "%%%02X", (unsigned char)*name);
	}
}

static int add_file(struct hub *h, const json_t *item, struct err *e)
{
	const char *name = json_string_value(json_object_get(item, "rfilename"));
	const json_t *lfs = json_object_get(item, "lfs"),
		     *size = json_object_get(json_is_object(lfs) ? lfs : item, "size");
	const char *large = json_string_value(json_object_get(lfs, "sha256"));
	const char *hash = large ? large : json_string_value(json_object_get(item, "blobId"));
	struct buf url = BUF_INIT;
	if (!is_hex(hash, large ? 64 : 40) || !json_is_integer(size) || json_integer_value(size) < 0)
		return err_set(e, "%s: the hub says no hash or size of %.100s", h->endpoint, name);
	struct hub_file *f = &h->file[h->n++];
	buf_addf(&url, "%s/%s%s/resolve/%s/", h->endpoint, h->w->dataset ? "datasets/" : "", h->w->name, h->commit);
	escape_path(&url, name);
	*f = (struct hub_file){ .name = mem_strdup(name),
		                .url = buf_detach(&url, NULL),
		                .large = large,
		                .size = (size_t)json_integer_value(size) };
	snprintf(f->hash, sizeof(f->hash), "%s", hash);
	f->blob = mem_printf("%s/blobs/%s", h->repo, hash);
	f->there = io_exists(f->blob);
	return 0;
}

static int nothing_wanted(const struct hub *h, const json_t *list, struct err *e)
{
	struct buf names = BUF_INIT;
	const json_t *item;
	size_t i, n = 0;
	json_array_foreach (list, i, item)
		if (n < 12 && json_is_string(json_object_get(item, "rfilename")))
			buf_addf(&names, "%s%.80s", n++ ? ", " : "",
			         json_string_value(json_object_get(item, "rfilename")));
	err_set(e, "%s has %s%s; it has %s", h->w->name,
	        h->w->file    ? "no file " :
	        h->w->include ? "no file that --include takes" :
	        h->w->dataset ? "no .jsonl, .json, .csv, .tsv or .txt" :
	                        "several models: name a FILE",
	        h->w->file ? h->w->file : "", buf_str(&names));
	buf_release(&names);
	return -1;
}

static int choose(struct hub *h, const json_t *list, struct err *e)
{
	const json_t *item;
	const char *only = NULL;
	size_t i, ggufs = 0;
	bool safetensors = false, config = false;
	h->file = mem_array(json_array_size(list) + 1, sizeof(*h->file));
	json_array_foreach (list, i, item) {
		const char *name = json_string_value(json_object_get(item, "rfilename"));
		if (!name || !name_ok(name))
			return err_set(e, "%s: the hub names a file \"%.100s\"", h->endpoint, name ? name : "");
		safetensors |= text_ends(name, ".safetensors");
		config |= !strcmp(name, "config.json");
		only = text_ends(name, ".gguf") && !ggufs++ ? name : only;
	}
	bool gguf = !h->w->file && !h->w->include && !h->w->dataset && !safetensors && ggufs;
	if (gguf && ggufs > 1)
		return nothing_wanted(h, list, e);
	json_array_foreach (list, i, item) {
		const char *name = json_string_value(json_object_get(item, "rfilename"));
		if ((gguf ? !strcmp(name, only) : is_wanted(h->w, name, safetensors)) && add_file(h, item, e))
			return -1;
	}
	return h->n ? 0 : nothing_wanted(h, list, e);
}

static int list_files(struct hub *h, struct err *e)
{
	struct buf url = BUF_INIT;
	buf_addf(&url, "%s/api/%s/%s/revision/", h->endpoint, h->w->dataset ? "datasets" : "models", h->w->name);
	escape_path(&url, h->w->revision);
	buf_adds(&url, "?blobs=true");
	struct transfer t = { .url = buf_str(&url), .token = h->token, .fd = -1 };
	int rc = http_run(h->http, &t, 1, 1, NULL, NULL, e);
	if (rc == 0 && *t.why)
		rc = refuse(h, &t, "list of files", e);
	json_t *j = rc == 0 ? jsonx_load(buf_str(&t.body), t.body.len, h->endpoint, e) : NULL;
	const char *commit = json_string_value(json_object_get(j, "sha"));
	if (j && !is_hex(commit, 40))
		rc = err_set(e, "%s: the hub names no commit", h->endpoint);
	else if (j)
		snprintf(h->commit, sizeof(h->commit), "%s", commit);
	if (rc == 0)
		rc = j ? choose(h, json_object_get(j, "siblings"), e) : -1;
	json_decref(j);
	buf_release(&t.body);
	buf_release(&url);
	return rc;
}

/* --- blobs --- */

static char *incomplete(const struct hub_file *f) { return mem_printf("%s.incomplete", f->blob); }

static int check_hash(const struct hub_file *f, const char *path, struct err *e)
{
	char hex[65], header[40], *piece = mem_alloc(1 << 20);
	struct sha s;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
	sha_begin(&s, f->large);
	if (!f->large)
		sha_add(&s, header, (size_t)snprintf(header, sizeof(header), "blob %zu", f->size) + 1);
	while (fd >= 0 && rc == 0 && (n = read(fd, piece, 1 << 20)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		rc = n < 0 ? err_set(e, "reading %s: %s", path, strerror(errno)) :
		             stop_look(e, "checking what was fetched");
		sha_add(&s, piece, n > 0 ? (size_t)n : 0);
	}
	if (fd < 0)
		rc = err_set(e, "cannot open %s: %s", path, strerror(errno));
	else
		close(fd);
	mem_free(piece);
	sha_end(&s, hex);
	if (rc == 0 && strcmp(hex, f->hash) != 0) {
		unlink(path);
		rc = err_set(e, "%s arrived with the hash %.16s…, the hub says %.16s…: it was thrown away", f->name,
		             hex, f->hash);
	}
	return rc;
}

static int open_incomplete(struct transfer *t, const struct hub_file *f, struct err *e)
{
	struct stat st;
	char *path = incomplete(f);
	t->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	int rc = t->fd < 0 || fstat(t->fd, &st) ? err_set(e, "cannot write %s: %s", path, strerror(errno)) : 0;
	if (rc == 0 && (size_t)st.st_size > f->size && ftruncate(t->fd, 0) == 0)
		st.st_size = 0;
	if (rc == 0)
		t->have = (size_t)st.st_size;
	mem_free(path);
	return rc;
}

static int finish_file(const struct hub *h, struct transfer *t, struct err *e)
{
	struct hub_file *f = t->owner;
	char *path = incomplete(f);
	int rc = 0;
	if (*t->why)
		rc = refuse(h, t, f->name, e);
	else if (t->have != f->size)
		rc = err_set(e, "%s has %zu bytes, the hub says %zu", f->name, t->have, f->size);
	else if (fsync(t->fd))
		rc = err_set(e, "writing %s: %s", path, strerror(errno));
	if (rc == 0)
		rc = check_hash(f, path, e);
	if (rc == 0 && rename(path, f->blob))
		rc = err_set(e, "renaming %s: %s", path, strerror(errno));
	f->there = rc == 0;
	mem_free(path);
	return rc;
}

static void tell(void *ctx)
{
	const struct hub *h = ctx;
	size_t have = 0;
	char a[32], b[32], speed[32];
	for (size_t i = 0; i < h->n_transfers; i++)
		have += h->transfers[i].have;
	double seconds = clock_seconds() - h->begun;
	if (seconds < 0.5)
		return;
	log_live("%s of %s, %s/s", human_bytes(have, a), human_bytes(h->total, b),
	         human_bytes((size_t)((double)have / seconds), speed));
}

static int check_space(const struct hub *h, struct err *e)
{
	size_t room;
	char a[32], b[32];
	if (io_free_space(h->repo, &room, e))
		return -1;
	if (room < h->total)
		return err_set(e, "%s has %s free, the files take %s", h->repo, human_bytes(room, a),
		               human_bytes(h->total, b));
	return 0;
}

static int fetch(struct hub *h, struct hub_result *out, struct err *e)
{
	int rc = 0;
	h->transfers = mem_array(h->n + 1, sizeof(*h->transfers));
	for (size_t i = 0; i < h->n && rc == 0; i++) {
		struct hub_file *f = &h->file[i];
		bool twice = false;
		for (size_t k = 0; k < i; k++) /* two names of one content */
			twice |= !strcmp(h->file[k].hash, f->hash);
		if (f->there || twice)
			continue;
		struct transfer *t = &h->transfers[h->n_transfers++];
		*t = (struct transfer){ .url = f->url, .token = h->token, .want = f->size, .owner = f, .fd = -1 };
		rc = open_incomplete(t, f, e);
		h->total += f->size;
		out->bytes += f->size - t->have;
	}
	if (rc == 0 && h->n_transfers)
		rc = check_space(h, e);
	if (rc == 0)
		rc = http_run(h->http, h->transfers, h->n_transfers, h->w->connections, tell, h, e);
	log_live_end();
	bool ran = rc == 0;
	for (size_t i = 0; i < h->n_transfers; i++) {
		struct err other = ERR_INIT; /* of several the first is told; what arrived whole is kept */
		if (ran && finish_file(h, &h->transfers[i], rc ? &other : e))
			rc = -1;
		if (h->transfers[i].fd >= 0)
			close(h->transfers[i].fd);
	}
	out->fetched = h->n_transfers;
	return rc;
}

/* --- links --- */

static int make_folder_of(const char *path, struct err *e)
{
	char *dir = mem_strndup(path, (size_t)(strrchr(path, '/') - path));
	int rc = io_mkdirs(dir, e);
	mem_free(dir);
	return rc;
}

/* A link under a name that nobody can know before, from which it is renamed. */
static int make_link(const char *to, const char *path, struct err *e)
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		random = (uint64_t)getpid();
	char *next = mem_printf("%s.tmp-%016llx", path, (unsigned long long)random);
	int rc = 0;
	if (symlink(to, next) || rename(next, path)) {
		rc = err_set(e, "linking %s: %s", path, strerror(errno));
		unlink(next);
	}
	mem_free(next);
	return rc;
}

/* snapshots/COMMIT/a/b leads to ../../../blobs/HASH. */
static int link_file(const struct hub *h, const struct hub_file *f, struct err *e)
{
	char *path = mem_printf("%s/snapshots/%s/%s", h->repo, h->commit, f->name);
	struct buf to = BUF_INIT;
	buf_adds(&to, "../../");
	for (const char *at = f->name; (at = strchr(at, '/')); at++)
		buf_adds(&to, "../");
	buf_addf(&to, "blobs/%s", f->hash);
	int rc = make_folder_of(path, e);
	if (rc == 0)
		rc = make_link(buf_str(&to), path, e);
	buf_release(&to);
	mem_free(path);
	return rc;
}

static int write_ref(const struct hub *h, struct err *e)
{
	if (!strcmp(h->w->revision, h->commit))
		return 0;
	char *path = mem_printf("%s/refs/%s", h->repo, h->w->revision);
	int rc = make_folder_of(path, e) || io_write(path, h->commit, strlen(h->commit), e) ? -1 : 0;
	mem_free(path);
	return rc;
}

static int make_blobs(const struct hub *h, struct err *e)
{
	char *blobs = io_join(h->repo, "blobs");
	int rc = io_mkdirs(blobs, e);
	mem_free(blobs);
	return rc;
}

int hub_pull(const struct hub_wish *w, struct hub_result *out, struct err *e)
{
	struct hub h;
	*out = (struct hub_result){ 0 };
	if (!name_ok(w->revision))
		return err_set(e, "\"%.100s\" is no revision", w->revision);
	int rc = begin(&h, w, e);
	if (rc == 0)
		rc = list_files(&h, e);
	if (rc == 0)
		rc = make_blobs(&h, e) || io_lock_dir(h.repo, &h.lock, e) || fetch(&h, out, e) ? -1 : 0;
	for (size_t i = 0; i < h.n && rc == 0; i++)
		rc = link_file(&h, &h.file[i], e);
	if (rc == 0)
		rc = write_ref(&h, e);
	if (rc == 0) {
		out->path =
			mem_printf("%s/snapshots/%s%s%s", h.repo, h.commit, w->file ? "/" : "", w->file ? w->file : "");
		memcpy(out->commit, h.commit, sizeof(out->commit));
		out->files = h.n;
	}
	release(&h);
	return rc;
}
