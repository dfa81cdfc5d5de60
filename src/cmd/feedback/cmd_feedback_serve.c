/* feedback serve: the page on which people judge. Its address, with what lets the owner in, is printed; who starts it
 * again finds the same address, so that a page that is open goes on: the owner's token lies in FILE.token, which nobody
 * else may read. Raters are let in by addresses that the owner makes on the page, or by --rater. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/feedback/serve_session.h"
#include "cmd/metering.h"
#include "feedback/store.h"
#include "serve/feedback_api.h"

enum { TOKEN = 32 };

struct serve {
	struct common common;
	int64_t port;
	const char *host, *allow_host, *owner;
	struct opt_list raters;
};

static const struct opt serve_opts[] = {
	OPT_INT("port", struct serve, port, "8033", 0, 65535, "where it listens; 0: any that is free"),
	OPT_STRING("host", struct serve, host, "127.0.0.1", "ADDRESS",
	           "of this machine that it listens on; 0.0.0.0: all"),
	OPT_STRING("allow-host", struct serve, allow_host, NULL, "NAME", "that browsers may know this machine by"),
	OPT_STRING("owner", struct serve, owner, "owner", "NAME", "of who sees the report and invites raters"),
	OPT_LIST("rater", struct serve, raters, "NAME",
	         "lets NAME in: an address is printed, an earlier one of that name is void"),
	COMMON_OPTS(struct serve, common),
	OPT_END
};

/* The token that a server before this one left, if it still lets the owner in. */
static bool known_token(struct feedback *f, const char *path, const char *owner, char token[TOKEN + 1])
{
	struct arena mem = ARENA_INIT;
	struct feedback_rater who;
	struct err e = ERR_INIT;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool known = fd >= 0 && read(fd, token, TOKEN) == TOKEN;

	token[TOKEN] = '\0';
	if (fd >= 0)
		close(fd);
	known = known && feedback_admit(f, token, &who, &mem, &e) == 0 && who.role == ROLE_OWNER &&
	        !strcmp(who.name, owner);
	arena_release(&mem);
	return known;
}

static int keep_token(const char *path, const char token[TOKEN + 1], struct err *e)
{
	int fd;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, token, TOKEN) != TOKEN || close(fd)) {
		err_set(e, "%s cannot be written: %s", path, strerror(errno));
		return -1;
	}
	return 0;
}

static int owner_token(struct feedback *f, const char *file, const char *owner, char token[TOKEN + 1], struct err *e)
{
	char *path = mem_printf("%s.token", file);
	int status = 0;

	if (!known_token(f, path, owner, token))
		status = feedback_invite(f, owner, ROLE_OWNER, token, e) < 0 ? -1 : keep_token(path, token, e);
	mem_free(path);
	return status;
}

/* tokens: [o->raters.n]. */
static int invite(struct feedback *f, const struct serve *o, char (*tokens)[TOKEN + 1], struct err *e)
{
	int status = 0;

	for (size_t i = 0; i < o->raters.n && status == 0; i++) {
		if (!strcmp(o->raters.items[i], o->owner))
			return err_set(e, "%s is the owner: --rater wants others' names", o->owner);
		status = feedback_invite(f, o->raters.items[i], ROLE_RATER, tokens[i], e);
	}
	return status;
}

static void tell(const struct app *app, const struct http *h, const struct serve *o, const char *file,
                 const char *token, char (*tokens)[TOKEN + 1])
{
	bool all = !strcmp(o->host, "0.0.0.0") || !strcmp(o->host, "::");
	json_t *raters = json_object();
	char base[96];

	http_base(!all ? o->host : o->allow_host ? o->allow_host : "127.0.0.1", http_port(h), base);
	for (size_t i = 0; i < o->raters.n; i++)
		json_object_set_new(raters, o->raters.items[i], json_sprintf("%s/#%s", base, tokens[i]));
	json_t *j = json_pack("{s:o, s:o, s:O}", "feedback", jsonx_path(file), "address",
	                      json_sprintf("%s/#%s", base, token), "raters", raters);
	if (app->json) {
		app_json(j);
	} else {
		const char *name;
		json_t *address;

		app_print("%s\n", json_string_value(json_object_get(j, "address")));
		json_object_foreach(raters, name, address)
			app_print("%s: %s\n", name, json_string_value(address));
		app_print("\nOpen it to label and to see the report; R there invites others. Ctrl C ends the server, "
		          "what was said stays.\n");
	}
	json_decref(raters);
	json_decref(j);
	if (!http_is_loopback(o->host))
		log_warn("%s is reached from other machines, and nothing is encrypted: put a proxy with TLS before it",
		         o->host);
}

/* Until somebody ends it. */
static int wait(struct http *h, struct informed *informed, struct serve_session *session, struct err *e)
{
	int status = 0;

	while (status == 0 && !app_interrupted()) {
		poll(NULL, 0, 1000);
		http_tick(h);
		status = informed_look(informed, e) < 0 ? -1 : serve_session_look(session, e);
	}
	return status;
}

static int serve(struct app *app, struct feedback *f, const struct serve *o, const char *file,
                 struct informed *informed, struct err *e)
{
	struct feedback_api *api = feedback_api_new(f, informed);
	struct http_options how = { .address = o->host,
		                    .port = (int)o->port,
		                    .hosts = &o->allow_host,
		                    .n_hosts = o->allow_host ? 1 : 0,
		                    .admit = feedback_api_admit,
		                    .answer = feedback_api_answer,
		                    .ctx = api };
	char token[TOKEN + 1], (*tokens)[TOKEN + 1] = mem_array(o->raters.n, sizeof(*tokens));
	struct serve_session session = { 0 };
	struct http *h = NULL;
	int status = owner_token(f, file, o->owner, token, e) < 0 || invite(f, o, tokens, e) < 0 ||
	             serve_session_begin(&session, file, e) < 0 || http_start(&h, &how, e) < 0 ? -1 : 0;

	if (status == 0) {
		tell(app, h, o, file, token, tokens);
		status = wait(h, informed, &session, e);
	}
	http_stop(h);
	if (status == 0)
		status = serve_session_end(&session, app, e);
	serve_session_free(&session);
	feedback_api_free(api);
	mem_free(tokens);
	return status;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	const char *file = p->positional[0];
	struct informed *informed = NULL;
	struct feedback *f;

	app_catch_signals();
	if (feedback_open(&f, file, true, e) < 0)
		return -1;
	metering_in("data", file, NULL);
	int status = feedback_lock(f, e) < 0 || informed_new(&informed, file, e) < 0 ?
	                     -1 : serve(app, f, options, file, informed, e);
	informed_free(informed);
	feedback_close(f);
	return status;
}

const struct command cmd_feedback_serve = {
	.name = "feedback serve",
	.summary = "the page on which people judge answers",
	.usage = "F.db [--port 8033]",
	.example = "kungfu feedback serve f.db",
	.order = 54,
	.opts = serve_opts,
	.options_size = sizeof(struct serve),
	.least = 1, .most = 1, .wanted = "one file of feedback was wanted",
	.run = run,
};
