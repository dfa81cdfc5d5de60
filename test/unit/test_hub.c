/* test_hub: pulling from an imitation of a hub on loopback, a thread of this process that answers one connection after
 * the other and ends with its case, or after a minute. It cuts, redirects, lies and refuses as it is told. */
#include "../test.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sha.h"
#include "cmd/pull/hub.h"
#include "format/hub_cache.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

enum { BIG = 300000, FILES = 4 };
static const char *const data_names[FILES] = { "data/train.jsonl", "data/train.parquet", "test.csv.gz",
	                                       "README.md" };

/* What the imitation does wrong. */
struct faults {
	int cut;          /* so many answers of files end after a third */
	int status;       /* every answer, where not 0 */
	int errors;       /* so many answers are 500 first */
	bool whole;       /* what is asked for from the middle is sent from the beginning */
	bool lie;         /* a file's last byte is another */
	bool elsewhere;   /* files are redirected to the other port */
	bool same;        /* files are redirected within the hub */
	const char *name; /* a file of this name is in the list too */
	bool data;        /* it has a data set, not a model */
};

struct imitation {
	int listener[2]; /* the hub, and another server */
	int port[2];
	pthread_t thread;
	bool end;
	struct faults f;
	char *text[FILES];
	size_t size[FILES];
	int ranges, with_token[2], asked;
};

static const char *const names[FILES] = { "config.json", "model.safetensors", "1_Pooling/config.json", "README.md" };

static void hash_of(const struct imitation *m, int i, char hex[65])
{
	struct sha s;
	char head[40];
	sha_begin(&s, i == 1);
	if (i != 1)
		sha_add(&s, head, (size_t)snprintf(head, sizeof(head), "blob %zu", m->size[i]) + 1);
	sha_add(&s, m->text[i], m->size[i]);
	sha_end(&s, hex);
}

static void send_all(int fd, const char *data, size_t n)
{
	while (n) {
		ssize_t k = send(fd, data, n, MSG_NOSIGNAL);
		if (k <= 0)
			return;
		data += k;
		n -= (size_t)k;
	}
}

static void answer(int fd, int status, const char *more, const char *body, size_t said, size_t sent)
{
	char head[2048];
	int n = snprintf(head, sizeof(head), "HTTP/1.1 %d x\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n",
	                 status, said, more);
	send_all(fd, head, (size_t)n);
	send_all(fd, body, sent);
}

static const char *name_of(const struct imitation *m, size_t i) { return m->f.data ? data_names[i] : names[i]; }

static void send_list(struct imitation *m, int fd)
{
	struct buf b = BUF_INIT;
	buf_adds(&b, "{\"sha\": \"" COMMIT "\", \"siblings\": [");
	for (int i = 0; i < FILES; i++) {
		char hex[65];
		hash_of(m, i, hex);
		buf_addf(&b, "%s{\"rfilename\": \"%s\", \"size\": %zu, ", i ? ", " : "", name_of(m, (size_t)i),
		         m->size[i]);
		if (i == 1)
			buf_addf(&b, "\"blobId\": \"x\", \"lfs\": {\"sha256\": \"%s\", \"size\": %zu}}", hex,
			         m->size[i]);
		else
			buf_addf(&b, "\"blobId\": \"%s\"}", hex);
	}
	if (m->f.name)
		buf_addf(&b, ", {\"rfilename\": \"%s\", \"size\": 1, \"blobId\": \"" COMMIT "\"}", m->f.name);
	buf_adds(&b, "]}");
	answer(fd, 200, "", b.data, b.len, b.len);
	buf_release(&b);
}

static void send_file(struct imitation *m, int fd, int which, const char *path, const char *request)
{
	const char *range = strstr(request, "\r\nRange: bytes=");
	size_t from = range ? strtoul(range + 15, NULL, 10) : 0, i = 0;
	char more[1200] = "";
	while (i < FILES && !strstr(path, name_of(m, i)))
		i++;
	if (i == FILES) {
		answer(fd, 404, "", "", 0, 0);
		return;
	}
	if (i == 0 && strstr(path, name_of(m, 2)))
		i = 2;
	if (which == 0 && (m->f.elsewhere || (m->f.same && !strstr(path, "/cdn")))) {
		snprintf(more, sizeof(more), "Location: http://127.0.0.1:%d/cdn%s\r\n", m->port[m->f.elsewhere], path);
		answer(fd, 302, more, "", 0, 0);
		return;
	}
	char *text = mem_strndup(m->text[i], m->size[i]);
	if (m->f.lie)
		text[m->size[i] - 1] ^= 1;
	from = m->f.whole ? 0 : from;
	m->ranges += from > 0;
	size_t left = m->size[i] - from, sent = left;
	if (m->f.cut > 0 && m->f.cut--)
		sent = left / 3;
	if (from)
		snprintf(more, sizeof(more), "Content-Range: bytes %zu-%zu/%zu\r\n", from, m->size[i] - 1, m->size[i]);
	answer(fd, from ? 206 : 200, more, text + from, left, sent);
	mem_free(text);
}

static void serve(struct imitation *m, int fd, int which)
{
	char request[4096], path[1024];
	size_t n = 0;
	while (n + 1 < sizeof(request)) {
		struct pollfd p = { fd, POLLIN, 0 };
		ssize_t k = poll(&p, 1, 5000) > 0 ? recv(fd, request + n, sizeof(request) - 1 - n, 0) : 0;
		if (k <= 0)
			return;
		n += (size_t)k;
		request[n] = 0;
		if (strstr(request, "\r\n\r\n"))
			break;
	}
	m->asked++;
	m->with_token[which] += strstr(request, "Authorization: Bearer secret") != NULL;
	if (sscanf(request, "GET %1000s", path) != 1)
		return;
	if (m->f.errors > 0 && m->f.errors--)
		answer(fd, 500, "", "", 0, 0);
	else if (m->f.status)
		answer(fd, m->f.status, "", "no", 2, 2);
	else if (!strcmp(path, m->f.data ? "/api/datasets/org/name/revision/main?blobs=true" :
	                                   "/api/models/org/name/revision/main?blobs=true"))
		send_list(m, fd);
	else if (strstr(path, m->f.data ? "/datasets/org/name/resolve/" COMMIT "/" : "/org/name/resolve/" COMMIT "/"))
		send_file(m, fd, which, path, request);
	else
		answer(fd, 404, "", "", 0, 0);
}

static void *run(void *ctx)
{
	struct imitation *m = ctx;
	for (int i = 0; i < 1200 && !__atomic_load_n(&m->end, __ATOMIC_ACQUIRE); i++) {
		struct pollfd p[2] = { { m->listener[0], POLLIN, 0 }, { m->listener[1], POLLIN, 0 } };
		if (poll(p, 2, 50) <= 0)
			continue;
		for (int k = 0; k < 2; k++) {
			int fd = p[k].revents ? accept(m->listener[k], NULL, NULL) : -1;
			if (fd < 0)
				continue;
			serve(m, fd, k);
			shutdown(fd, SHUT_WR);
			close(fd);
		}
	}
	return NULL;
}

static void begin(struct imitation *m, struct faults f)
{
	*m = (struct imitation){ .f = f };
	const size_t sizes[FILES] = { 2, BIG, 20, 5 };
	for (int i = 0; i < FILES; i++) {
		m->size[i] = sizes[i];
		m->text[i] = mem_alloc(sizes[i] + 1);
		for (size_t k = 0; k < sizes[i]; k++)
			m->text[i][k] = (char)('a' + (k * 7 + k / 100 + (size_t)i) % 26);
	}
	memcpy(m->text[0], "{}", 2);
	for (int k = 0; k < 2; k++) {
		struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		socklen_t n = sizeof(a);
		m->listener[k] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (bind(m->listener[k], (struct sockaddr *)&a, n) || listen(m->listener[k], 64) ||
		    getsockname(m->listener[k], (struct sockaddr *)&a, &n))
			BUG("no port on loopback");
		m->port[k] = ntohs(a.sin_port);
	}
	char *endpoint = mem_printf("http://127.0.0.1:%d/", m->port[0]);
	setenv("HF_ENDPOINT", endpoint, 1);
	mem_free(endpoint);
	pthread_create(&m->thread, NULL, run, m);
}

static void end(struct imitation *m)
{
	__atomic_store_n(&m->end, true, __ATOMIC_RELEASE);
	pthread_join(m->thread, NULL);
	for (int i = 0; i < FILES; i++)
		mem_free(m->text[i]);
	close(m->listener[0]);
	close(m->listener[1]);
}

/* A cache of its own for a case. */
static char *cache(const char *name)
{
	char *dir = mem_printf("%s/hub-%s", test_tmp(), name);
	setenv("HF_HUB_CACHE", dir, 1);
	return dir;
}

static int pull(struct hub_result *r, const char *file, struct err *e)
{
	struct hub_wish w = { .name = "org/name", .file = file, .revision = "main", .connections = 3 };
	*e = (struct err)ERR_INIT;
	return hub_pull(&w, r, e);
}

static bool has(const char *dir, const char *name, const char *text, size_t n)
{
	char *path = io_join(dir, name);
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;
	bool same = io_read(&b, path, &e) == 0 && b.len == n && !memcmp(b.data, text, n);
	buf_release(&b);
	mem_free(path);
	return same;
}

static void test_plain(struct test *t)
{
	struct imitation m;
	struct hub_result r, again;
	struct err e = ERR_INIT, none = ERR_INIT;
	char *dir = cache("plain"), target[200] = "";
	test_case(t, "a model, and again, and by its name");
	begin(&m, (struct faults){ 0 });
	CHECK_MSG(t, pull(&r, NULL, &e) == 0, "%s", e.msg);
	if (r.path) {
		CHECK(t, r.files == 3 && r.fetched == 3 && r.bytes == BIG + 22);
		CHECK(t, has(r.path, names[0], "{}", 2) && has(r.path, names[1], m.text[1], BIG) &&
		                 has(r.path, names[2], m.text[2], 20) && !has(r.path, names[3], m.text[3], 5));
		char *link = io_join(r.path, names[2]), *ref = io_join(dir, "models--org--name/refs");
		CHECK(t, readlink(link, target, sizeof(target) - 1) > 0 && !strncmp(target, "../../../blobs/", 15));
		CHECK(t, has(ref, "main", COMMIT, 40));
		int asked = m.asked;
		CHECK(t, pull(&again, NULL, &e) == 0 && again.fetched == 0 && again.bytes == 0 && m.asked == asked + 1);
		char *path = hub_resolve("org/name", &e), *file = hub_resolve("org/name:config.json", &e);
		CHECK(t, path && !strcmp(path, r.path) && file && io_exists(file));
		CHECK(t, !hub_resolve("org/other", &none) && strstr(none.msg, "kungfu pull org/other"));
		CHECK(t, m.with_token[0] == 0);
		mem_free(path);
		mem_free(file);
		mem_free(link);
		mem_free(ref);
		mem_free(again.path);
	}
	CHECK(t, pull(&again, "README.md", &e) == 0 && again.files == 1 && again.fetched == 1);
	mem_free(again.path);
	CHECK(t, pull(&again, "nothing", &e) < 0 && strstr(e.msg, "no file nothing; it has config.json"));
	mem_free(r.path);
	end(&m);
	mem_free(dir);
}

/* Two that fetch one file would write its bytes into one another. */
static void test_one_writer(struct test *t)
{
	struct imitation m;
	struct hub_result r;
	struct err e = ERR_INIT;
	char *dir = cache("held"), *repo = io_join(dir, "models--org--name");
	int lock;

	test_case(t, "a model that another process fetches");
	begin(&m, (struct faults){ 0 });
	CHECK(t, io_mkdirs(repo, &e) == 0 && io_lock_dir(repo, &lock, &e) == 0);
	CHECK(t, pull(&r, NULL, &e) < 0 && strstr(e.msg, "is writing it; wait for its end"));
	io_unlock(lock);
	CHECK_MSG(t, pull(&r, NULL, &e) == 0 && r.fetched == 3, "%s", e.msg);
	mem_free(r.path);
	end(&m);
	mem_free(repo);
	mem_free(dir);
}

static void test_dataset(struct test *t)
{
	struct imitation m;
	struct hub_result r;
	struct err e = ERR_INIT;
	char *dir = cache("data");
	struct hub_wish w = { .name = "org/name", .dataset = true, .revision = "main", .connections = 2 };

	test_case(t, "a data set: the files that rows are read from");
	begin(&m, (struct faults){ .data = true });
	CHECK_MSG(t, hub_pull(&w, &r, &e) == 0, "%s", e.msg);
	if (r.path) {
		CHECK(t, r.files == 2 && strstr(r.path, "/datasets--org--name/snapshots/" COMMIT));
		CHECK(t, has(r.path, data_names[0], m.text[0], m.size[0]) && has(r.path, data_names[2], m.text[2], 20));
	}
	mem_free(r.path);
	end(&m);
	mem_free(dir);
}

static void test_mended(struct test *t)
{
	static const struct {
		const char *name;
		struct faults f;
		int ranges;
	} cases[] = {
		{ "cut connections go on where they stopped", { .cut = 4 }, 1 },
		{ "all instead of the rest begins anew", { .cut = 2, .whole = true }, 0 },
		{ "errors that pass", { .errors = 3 }, 0 },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct imitation m;
		struct hub_result r;
		struct err e;
		char name[16];
		snprintf(name, sizeof(name), "mended-%zu", i);
		test_case(t, "%s", cases[i].name);
		char *dir = cache(name);
		begin(&m, cases[i].f);
		CHECK_MSG(t, pull(&r, NULL, &e) == 0 && has(r.path, names[1], m.text[1], BIG), "%s", e.msg);
		CHECK(t, cases[i].ranges ? m.ranges > 0 : m.ranges == 0);
		end(&m);
		mem_free(r.path);
		mem_free(dir);
	}
}

static void test_token(struct test *t)
{
	for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
		struct imitation m;
		struct hub_result r;
		struct err e;
		test_case(t, "a token goes to the hub%s",
		          elsewhere ? ", not where it redirects to" : " and its own redirects");
		char *dir = cache(elsewhere ? "elsewhere" : "same");
		setenv("HF_TOKEN", "secret", 1);
		begin(&m, (struct faults){ .elsewhere = elsewhere, .same = !elsewhere });
		CHECK_MSG(t, pull(&r, NULL, &e) == 0 && has(r.path, names[1], m.text[1], BIG), "%s", e.msg);
		CHECK(t, m.with_token[0] == (elsewhere ? 4 : 7) && m.with_token[1] == 0);
		end(&m);
		unsetenv("HF_TOKEN");
		mem_free(r.path);
		mem_free(dir);
	}
}

static void test_refused(struct test *t)
{
	static const struct {
		const char *words;
		struct faults f;
	} cases[] = {
		{ "HF_TOKEN gives a token", { .status = 401 } }, { "(404)", { .status = 404 } },
		{ "the answer is 418", { .status = 418 } },      { "the answer is 500", { .errors = 100 } },
		{ "was thrown away", { .lie = true } },          { "names a file \"../x\"", { .name = "../x" } },
		{ "names a file \"/x\"", { .name = "/x" } },     { "names a file \"a//x\"", { .name = "a//x" } },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct imitation m;
		struct hub_result r;
		struct err e;
		char name[16], **list = NULL;
		size_t n = 0;
		snprintf(name, sizeof(name), "refused-%zu", i);
		test_case(t, "refused: %s", cases[i].words);
		char *dir = cache(name), *repo = io_join(dir, "models--org--name"), *blobs = io_join(repo, "blobs");
		begin(&m, cases[i].f);
		CHECK_MSG(t, pull(&r, NULL, &e) < 0 && strstr(e.msg, cases[i].words), "%s", e.msg);
		CHECK(t, !io_exists(blobs) || io_list(blobs, &list, &n, &e) == 0);
		for (size_t k = 0; k < n; k++) /* nothing wrong is left under a right name */
			CHECK_MSG(t, cases[i].f.lie && strstr(list[k], ".incomplete"), "%s", list[k]);
		io_list_free(list, n);
		end(&m);
		mem_free(r.path);
		mem_free(blobs);
		mem_free(repo);
		mem_free(dir);
	}
}

/* A limit on a file's length is to write() what a full disk is. */
static void test_full(struct test *t)
{
	struct imitation m;
	struct hub_result r;
	struct err e;
	struct rlimit before, small;
	test_case(t, "a full disk, then room");
	char *dir = cache("full");
	getrlimit(RLIMIT_FSIZE, &before);
	small = before;
	small.rlim_cur = BIG / 2;
	void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
	begin(&m, (struct faults){ 0 });
	setrlimit(RLIMIT_FSIZE, &small);
	CHECK_MSG(t, pull(&r, NULL, &e) < 0 && strstr(e.msg, "writing failed"), "%s", e.msg);
	setrlimit(RLIMIT_FSIZE, &before);
	signal(SIGXFSZ, handler);
	CHECK_MSG(t, pull(&r, NULL, &e) == 0 && has(r.path, names[1], m.text[1], BIG) && m.ranges == 1, "%s", e.msg);
	end(&m);
	mem_free(r.path);
	mem_free(dir);
}

static void test_sha(struct test *t)
{
	static const struct {
		bool is_256;
		const char *text, *hex;
	} cases[] = {
		{ false, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d" },
		{ true, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ false, "", "da39a3ee5e6b4b0d3255bfef95601890afd80709" },
		{ true, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	};
	test_case(t, "SHA-1 and SHA-256");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct sha s;
		char hex[65];
		sha_begin(&s, cases[i].is_256);
		sha_add(&s, cases[i].text, strlen(cases[i].text));
		sha_end(&s, hex);
		CHECK_MSG(t, !strcmp(hex, cases[i].hex), "%s", hex);
	}
}

void test_hub(struct test *t)
{
	struct hub_result r;
	struct err e;
	test_sha(t);
	unsetenv("HF_TOKEN");
	unsetenv("HF_HUB_OFFLINE");
	setenv("HF_TOKEN_PATH", "/nonexistent", 1);
	setenv("no_proxy", "*", 1);
	char *dir = cache("none");
	setenv("HF_ENDPOINT", "http://127.0.0.1:1", 1);
	test_case(t, "no hub there");
	CHECK_MSG(t, pull(&r, NULL, &e) < 0 && strstr(e.msg, "onnect"), "%s", e.msg);
	mem_free(dir);
	test_plain(t);
	test_one_writer(t);
	test_dataset(t);
	test_mended(t);
	test_token(t);
	test_refused(t);
	test_full(t);
}
