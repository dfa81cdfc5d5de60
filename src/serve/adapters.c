/* adapters: names, and places for what is loaded. All loaded adapters are one overlay (adapt/multi_adapter.h), made
 * anew when one comes or goes; the session then records its forward again (session_lay), which takes as long as a
 * step or two, and keeps its sequences.
 *
 * Whether files are still those that were read is asked at each request by their sizes and times, and where these are
 * others, by their bytes. */
#include "serve/adapters.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "adapt/multi_adapter.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"
#include "model/new_tokens.h"

enum { NAME_MOST = 200, HASH = 33 };

struct known {                     /* a name */
	char *name, *path;
	bool pinned, gone;
	int place;                     /* where it is loaded, −1 */
};

struct place {                     /* what is loaded; empty: adapter.type is NULL */
	int known;                     /* −1: of no name any more */
	char hash[HASH], stamp[HASH];  /* of its files' bytes; of their sizes and times */
	int holders;                   /* requests */
	int64_t used;
	size_t bytes;
};

struct adapters {
	struct adapters_options o;
	struct session *session;
	struct batcher *batcher;
	struct adapter loaded[ADAPTERS_MOST]; /* those that are taken into `all` are empty here meanwhile */
	struct place places[ADAPTERS_MOST];
	struct adapter all;
	bool laid;                     /* `all` is made */
	size_t most;                   /* bytes of all; 0: no bound */
	int64_t age, clock;
	pthread_mutex_t lock;          /* of what follows */
	struct known **known;          /* [n_known] each stays where it is */
	size_t n_known;
};

/* --- files --- */

/* An adapter's files, one after another; NULL: there are no more. mem_free. */
static char *file_of(const char *path, size_t i)
{
	size_t n = 0;

	if (!io_is_dir(path))
		return i ? NULL : mem_strdup(path);
	for (size_t k = 0; adapter_files[k]; k++) {
		char *file = io_join(path, adapter_files[k]);
		if (io_exists(file) && n++ == i)
			return file;
		mem_free(file);
	}
	return NULL;
}

static void stamp_of(const char *path, char hex[HASH])
{
	struct hash_stream *h = hash_begin();
	char *file;

	for (size_t i = 0; (file = file_of(path, i)); i++) {
		struct stat s = { 0 };
		if (stat(file, &s) == 0) {
			int64_t of[] = { s.st_size, s.st_mtim.tv_sec, s.st_mtim.tv_nsec, (int64_t)s.st_ino };
			hash_add(h, of, sizeof(of));
		}
		mem_free(file);
	}
	hash_end(h, hex);
}

static int hash_of(const char *path, char hex[HASH], struct err *e)
{
	struct hash_stream *h = hash_begin();
	char *file, one[HASH];
	int status = 0;

	for (size_t i = 0; status == 0 && (file = file_of(path, i)); i++) {
		status = io_hash(file, one, e);
		hash_add(h, one, HASH - 1);
		mem_free(file);
	}
	hash_end(h, hex);
	return status;
}

/* --- names --- */

static bool is_name(const char *name)
{
	return *name && *name != '.' && strlen(name) <= NAME_MOST && !strchr(name, '/');
}

static int find_locked(const struct adapters *a, const char *name)
{
	for (size_t i = 0; i < a->n_known; i++)
		if (!a->known[i]->gone && !strcmp(a->known[i]->name, name))
			return (int)i;
	return -2;
}

static int add_locked(struct adapters *a, const char *name, const char *path, bool pinned)
{
	struct known *k = mem_alloc(sizeof(*k));

	*k = (struct known){ mem_strdup(name), mem_strdup(path), pinned, false, -1 };
	a->known = mem_grow(a->known, a->n_known + 1, sizeof(struct known *));
	a->known[a->n_known] = k;
	return (int)a->n_known++;
}

/* Its name and files stay; its place is the engine's thread's to change. */
static struct known *known_of(struct adapters *a, int i)
{
	pthread_mutex_lock(&a->lock);
	struct known *k = a->known[i];
	pthread_mutex_unlock(&a->lock);
	return k;
}

static void set_place(struct adapters *a, int known, int place)
{
	pthread_mutex_lock(&a->lock);
	a->known[known]->place = place;
	pthread_mutex_unlock(&a->lock);
}

/* DIR/NAME, a folder with a config, or DIR/NAME.gguf; NULL. */
static char *in_dir(const struct adapters *a, const char *name)
{
	if (!a->o.dir || !is_name(name))
		return NULL;
	char *path = io_join(a->o.dir, name), *config = io_join(path, adapter_files[0]);
	bool there = io_exists(config);

	mem_free(config);
	if (there)
		return path;
	mem_free(path);
	char *file = mem_printf("%s.gguf", name);
	path = io_join(a->o.dir, file);
	mem_free(file);
	if (io_exists(path) && !io_is_dir(path))
		return path;
	mem_free(path);
	return NULL;
}

int adapters_find(struct adapters *a, const char *name)
{
	pthread_mutex_lock(&a->lock);
	int k = find_locked(a, name);
	char *path = k < 0 && strcmp(name, a->o.model_name) ? in_dir(a, name) : NULL;
	if (path)
		k = add_locked(a, name, path, false);
	pthread_mutex_unlock(&a->lock);
	mem_free(path);
	return k;
}

void adapters_name(struct adapters *a, const char *name, const char *path)
{
	pthread_mutex_lock(&a->lock);
	if (is_name(name) && strcmp(name, a->o.model_name) && find_locked(a, name) < 0)
		add_locked(a, name, path, false);
	pthread_mutex_unlock(&a->lock);
}

static json_t *known_json(const char *name, const char *path, bool loaded, bool pinned)
{
	return json_pack("{s:s, s:s, s:b, s:b}", "name", name, "path", path, "loaded", loaded, "pinned", pinned);
}

/* Those in the folder that nobody has named yet. */
static void list_dir_locked(const struct adapters *a, json_t *list)
{
	struct err e = ERR_INIT;
	char **names;
	size_t n;

	if (!a->o.dir || io_list(a->o.dir, &names, &n, &e) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(names[i]);
		char *name = mem_strndup(names[i], len > 5 && !strcmp(names[i] + len - 5, ".gguf") ? len - 5 : len);
		char *path = find_locked(a, name) < 0 && strcmp(name, a->o.model_name) ? in_dir(a, name) : NULL;
		if (path)
			json_array_append_new(list, known_json(name, path, false, false));
		mem_free(path);
		mem_free(name);
	}
	io_list_free(names, n);
}

json_t *adapters_list(struct adapters *a)
{
	json_t *list = json_array();

	pthread_mutex_lock(&a->lock);
	for (size_t i = 0; i < a->n_known; i++) {
		const struct known *k = a->known[i];
		if (!k->gone)
			json_array_append_new(list, known_json(k->name, k->path, k->place >= 0, k->pinned));
	}
	list_dir_locked(a, list);
	pthread_mutex_unlock(&a->lock);
	return list;
}

char *adapters_path(const struct adapters *a, const char *path, struct err *e)
{
	char whole[PATH_MAX], dir[PATH_MAX];

	if (!a->o.dir || !realpath(a->o.dir, dir)) {
		err_set(e, "adapters are loaded by calls where --adapter-dir says from which folder");
		return NULL;
	}
	char *asked = *path == '/' ? mem_strdup(path) : io_join(dir, path);
	size_t n = strlen(dir);
	bool inside = realpath(asked, whole) && !strncmp(whole, dir, n) && (whole[n] == '/' || n == 1);
	mem_free(asked);
	if (!inside)
		err_set(e, "%.200s is nothing in the folder of --adapter-dir", path);
	return inside ? mem_strdup(whole) : NULL;
}

/* --- what is laid over the model --- */

static int n_places(const struct adapters *a)
{
	int n = ADAPTERS_MOST;

	while (n && !a->places[n - 1].bytes)
		n--;
	return n;
}

static size_t bytes_of_all(const struct adapters *a)
{
	size_t sum = 0;

	for (int i = 0; i < ADAPTERS_MOST; i++)
		sum += a->places[i].bytes;
	return sum;
}

static void take_off(struct adapters *a)
{
	if (a->laid)
		multi_adapter_unmake(&a->all, a->loaded);
	a->laid = false;
}

static int lay(struct adapters *a, struct err *e)
{
	const char *names[ADAPTERS_MOST];
	int n = n_places(a);

	for (int i = 0; i < n; i++)
		names[i] = a->places[i].known < 0 ? "an adapter that goes" : known_of(a, a->places[i].known)->name;
	if (n && multi_adapter_make(&a->all, a->o.model, a->loaded, names, (size_t)n, e) < 0)
		return -1;
	a->laid = n > 0;
	a->age++;
	if (a->session && session_lay(a->session, adapters_overlay(a), e) < 0)
		return -1;
	if (a->o.changed)
		a->o.changed(a->o.ctx, bytes_of_all(a));
	return 0;
}

const struct overlay *adapters_overlay(const struct adapters *a) { return a->laid ? &a->all.overlay : NULL; }

int64_t adapters_age(const struct adapters *a) { return a->age; }

/* A place becomes empty; what is laid must be taken off, and is to be laid again. */
static void empty(struct adapters *a, int i)
{
	struct place *p = &a->places[i];

	if (a->batcher)
		batcher_forget(a->batcher, i);
	adapter_release(&a->loaded[i]);
	a->loaded[i] = (struct adapter){ 0 };
	if (p->known >= 0)
		set_place(a, p->known, -1);
	*p = (struct place){ .known = -1 };
}

/* --- coming --- */

/* The place that is given up before others: nobody holds it; one without a name, else the one used least lately. −1:
 * there is none. */
static int least_used(struct adapters *a)
{
	int best = -1;

	for (int i = 0; i < ADAPTERS_MOST; i++) {
		const struct place *p = &a->places[i];
		if (!p->bytes || p->holders || (p->known >= 0 && known_of(a, p->known)->pinned))
			continue;
		if (best < 0 || (p->known < 0) > (a->places[best].known < 0) ||
		    ((p->known < 0) == (a->places[best].known < 0) && p->used < a->places[best].used))
			best = i;
	}
	return best;
}

/* An empty place, with room for so many bytes; −1: none, for now. */
static int make_room(struct adapters *a, size_t bytes)
{
	for (;;) {
		int free = 0;
		while (free < ADAPTERS_MOST && a->places[free].bytes)
			free++;
		bool fits = !a->most || bytes_of_all(a) + bytes <= a->most;
		if (free < ADAPTERS_MOST && fits)
			return free;
		int least = least_used(a);
		if (least < 0)
			return -1;
		empty(a, least);
	}
}

/* What an adapter takes, beside its copy in what is laid. */
static size_t bytes_of(const struct adapter *x)
{
	return 2 * (x->overlay.params.n + x->overlay.fixed.n) * sizeof(float) + 1;
}

static int read_files(struct adapters *a, const char *path, struct adapter *out, struct err *e)
{
	const struct model *m = a->o.model;
	char *tokenizer = io_join(path, "tokenizer.json");
	bool more = a->session && io_is_dir(path) && io_exists(tokenizer);

	mem_free(tokenizer);
	/* a model's tokens are those that it was opened with */
	if (!a->session && new_tokens_load(a->o.model, path, e) < 0)
		return -1;
	if (more && new_tokens_has(m, path))
		return err_set(e, "%s: it brings new tokens, which the model gets at the start alone (--adapter)",
		               path);
	return adapter_load(out, path, m, e);
}

/* Loads a name's files into a place. With what was laid taken off; lays it again in any case. */
static int fill(struct adapters *a, int known, struct adapter *x, struct place *p, struct err *e)
{
	struct err again = ERR_INIT;

	take_off(a);
	int i = make_room(a, p->bytes);
	if (i < 0) {
		adapter_release(x);
		return lay(a, e) < 0 ? -1 : ADAPTERS_BUSY;
	}
	a->loaded[i] = *x;
	a->places[i] = *p;
	if (lay(a, e) == 0) {
		set_place(a, known, i);
		return 0;
	}
	a->places[i].known = -1;
	empty(a, i); /* it is the one that does not go beside the others */
	return lay(a, &again) < 0 ? err_set(e, "%s", again.msg) : -1;
}

static int load(struct adapters *a, int known, struct err *e)
{
	struct adapter x;
	struct place p = { .known = known, .used = ++a->clock };
	const char *path = known_of(a, known)->path;

	stamp_of(path, p.stamp);
	if (hash_of(path, p.hash, e) < 0 || read_files(a, path, &x, e) < 0)
		return -1;
	p.bytes = bytes_of(&x);
	if (a->most && p.bytes > a->most) {
		adapter_release(&x);
		return err_set(e, "%s takes %zu bytes, %zu are for adapters", path, p.bytes, a->most);
	}
	return fill(a, known, &x, &p, e);
}

/* A place that nobody asks for by its name any more goes when nobody holds it. */
static void let_go(struct adapters *a, int i)
{
	struct place *p = &a->places[i];

	if (p->known >= 0)
		set_place(a, p->known, -1);
	p->known = -1;
	if (p->holders)
		return;
	struct err e = ERR_INIT;
	take_off(a);
	empty(a, i);
	if (lay(a, &e) < 0)
		BUG("fewer adapters than before cannot be laid: %s", e.msg);
}

/* Are a loaded one's files no more those that were read? */
static bool is_other(struct place *p, const struct known *k)
{
	struct err e = ERR_INIT;
	char stamp[HASH], hash[HASH];

	stamp_of(k->path, stamp);
	if (!strcmp(stamp, p->stamp))
		return false;
	if (hash_of(k->path, hash, &e) < 0 || strcmp(hash, p->hash))
		return true;
	memcpy(p->stamp, stamp, HASH);
	return false;
}

int adapters_hold(struct adapters *a, int known, int *number, struct err *e)
{
	if (!a->session)
		return err_set(e, "this model answers nothing");
	const struct known *k = known_of(a, known);
	if (k->place >= 0 && is_other(&a->places[k->place], k))
		let_go(a, k->place);
	int status = k->place < 0 ? load(a, known, e) : 0;
	if (status)
		return status;
	*number = k->place;
	a->places[*number].holders++;
	a->places[*number].used = ++a->clock;
	return 0;
}

void adapters_leave(struct adapters *a, int number)
{
	struct place *p = &a->places[number];

	if (p->holders-- < 1)
		BUG("adapter %d is held by nobody", number);
	if (!p->holders && (p->known < 0 || known_of(a, p->known)->gone))
		let_go(a, number);
}

static void forget_name(struct adapters *a, int known)
{
	pthread_mutex_lock(&a->lock);
	a->known[known]->gone = true;
	pthread_mutex_unlock(&a->lock);
}

int adapters_load(struct adapters *a, const char *name, const char *path, struct err *e)
{
	if (!is_name(name) || !strcmp(name, a->o.model_name))
		return err_set(e, "'%.100s' is no name for an adapter, or the model's own", name);
	pthread_mutex_lock(&a->lock);
	int k = find_locked(a, name);
	bool taken = k >= 0 && (a->known[k]->place >= 0 || strcmp(a->known[k]->path, path)), is_new = k < 0;
	if (is_new)
		k = add_locked(a, name, path, false);
	pthread_mutex_unlock(&a->lock);
	if (taken)
		return err_set(e, "The lora adapter '%.100s' has already been loaded", name);
	int status = load(a, k, e);
	if (status == 0)
		return 0;
	if (is_new)
		forget_name(a, k);
	return status == ADAPTERS_BUSY ? err_set(e, "all places of adapters are held by requests") : -1;
}

int adapters_unload(struct adapters *a, const char *name, struct err *e)
{
	pthread_mutex_lock(&a->lock);
	int k = find_locked(a, name);
	pthread_mutex_unlock(&a->lock);
	if (k < 0)
		return err_set(e, "The lora adapter '%.100s' cannot be found", name);
	forget_name(a, k);
	if (known_of(a, k)->place >= 0)
		let_go(a, known_of(a, k)->place);
	return 0;
}

/* --- all of it --- */

void adapters_serve(struct adapters *a, struct session *s, struct batcher *b)
{
	a->session = s;
	a->batcher = b;
	if (a->o.changed)
		a->o.changed(a->o.ctx, bytes_of_all(a));
}

void adapters_bound(struct adapters *a, size_t bytes) { a->most = bytes; }

int adapters_new(struct adapters **out, const struct adapters_options *o, struct err *e)
{
	struct adapters *a = *out = mem_alloc(sizeof(*a));
	int status = 0;

	*a = (struct adapters){ .o = *o };
	pthread_mutex_init(&a->lock, NULL);
	for (int i = 0; i < ADAPTERS_MOST; i++)
		a->places[i].known = -1;
	if (o->n > ADAPTERS_MOST)
		status = err_set(e, "%zu adapters: %d at most are served beside each other", o->n, ADAPTERS_MOST);
	for (size_t i = 0; status == 0 && i < o->n; i++)
		status = load(a, add_locked(a, o->names[i], o->paths[i], true), e);
	if (status < 0) {
		adapters_free(a);
		*out = NULL;
	}
	return status;
}

void adapters_free(struct adapters *a)
{
	if (!a)
		return;
	take_off(a);
	for (int i = 0; i < ADAPTERS_MOST; i++)
		adapter_release(&a->loaded[i]);
	for (size_t i = 0; i < a->n_known; i++) {
		mem_free(a->known[i]->name);
		mem_free(a->known[i]->path);
		mem_free(a->known[i]);
	}
	mem_free(a->known);
	pthread_mutex_destroy(&a->lock);
	mem_free(a);
}
