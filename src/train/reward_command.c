/* reward_command: two pipes, a poll that knows the time, a process group that is ended whole. See
 * reward_command.h. */
#include "train/reward_command.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/stop.h"

enum { LOOK = 100 /* milliseconds between looks at whether to stop */, SHOWN = 60 };

/* The shell that limits itself before it becomes the command's. */
static int spawn(struct reward_command *c, int in, int out)
{
	char limit[32];
	const char *argv[] = { "sh", "-c", "ulimit -v \"$1\" && exec sh -c \"$2\"", "sh", limit, c->command, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t how;
	sigset_t none;

	sigemptyset(&none);
	snprintf(limit, sizeof(limit), c->memory ? "%zu" : "unlimited", c->memory / 1024);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	posix_spawnattr_init(&how);
	posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setpgroup(&how, 0);
	posix_spawnattr_setsigmask(&how, &none);
	int code = posix_spawn(&c->pid, "/bin/sh", &files, &how, (char *const *)(uintptr_t)argv, environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&how);
	return code;
}

static int start(struct reward_command *c, struct err *e)
{
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) < 0)
		return err_set(e, "--reward-command: no pipe: %s", strerror(errno));
	if (pipe2(out, O_CLOEXEC) < 0) {
		close(in[0]);
		close(in[1]);
		return err_set(e, "--reward-command: no pipe: %s", strerror(errno));
	}
	int code = spawn(c, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	c->in = in[1];
	c->out = out[0];
	if (!code) {
		fcntl(c->in, F_SETFL, O_NONBLOCK);
		return 0;
	}
	c->pid = 0;
	close(c->in);
	close(c->out);
	return err_set(e, "--reward-command cannot be started: %s", strerror(code));
}

static void close_in(struct reward_command *c)
{
	if (c->in >= 0)
		close(c->in);
	c->in = -1;
}

void reward_command_end(struct reward_command *c)
{
	if (!c->pid)
		return;
	close_in(c);
	close(c->out);
	kill(-c->pid, SIGKILL);
	while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
		;
	c->pid = 0;
}

/* How it ended; it is gone then. */
static int say_end(struct reward_command *c, struct err *e)
{
	int state = 0;

	while (waitpid(c->pid, &state, 0) < 0 && errno == EINTR)
		;
	kill(-c->pid, SIGKILL); /* what it has left behind */
	close_in(c);
	close(c->out);
	c->pid = 0;
	if (WIFSIGNALED(state))
		return err_set(e, "--reward-command '%.80s' was ended by signal %d", c->command, WTERMSIG(state));
	if (WEXITSTATUS(state))
		return err_set(e, "--reward-command '%.80s' failed with status %d", c->command, WEXITSTATUS(state));
	return 0;
}

struct exchange {
	const char *lines;
	size_t left, n, read;          /* bytes to be written; numbers that are wanted, and there */
	struct buf said;               /* a line that is not whole yet */
	double *out;
	double deadline;
	bool over;                     /* it has closed its output */
};

static int take_line(struct exchange *x, const char *command, char *line, struct err *e)
{
	char *end;
	double value = strtod(line, &end);

	if (end == line || !isfinite(value) || end[strspn(end, " \t\r")])
		return err_set(e, "--reward-command '%.80s': line %zu is '%.*s', where a number was wanted", command,
		               x->read + 1, SHOWN, line);
	if (x->read < x->n)
		x->out[x->read] = value;
	x->read++;
	return 0;
}

/* Whole lines of what it said; at its end the rest is one too. */
static int take_lines(struct exchange *x, const char *command, struct err *e)
{
	size_t at = 0;

	buf_str(&x->said);
	for (;;) {
		char *end = x->said.len > at ? memchr(x->said.data + at, '\n', x->said.len - at) : NULL;
		if (!end && !(x->over && x->said.len > at))
			break;
		if (end)
			*end = 0;
		if (take_line(x, command, x->said.data + at, e) < 0)
			return -1;
		at = end ? (size_t)(end - x->said.data) + 1 : x->said.len;
	}
	memmove(x->said.data ? x->said.data : "", x->said.data ? x->said.data + at : "", x->said.len - at);
	x->said.len -= at;
	return 0;
}

static int write_some(struct reward_command *c, struct exchange *x, struct err *e)
{
	ssize_t k = write(c->in, x->lines, x->left);

	if (k < 0 && errno != EAGAIN && errno != EINTR && errno != EPIPE)
		return err_set(e, "--reward-command: its rows cannot be written: %s", strerror(errno));
	if (k < 0 && errno == EPIPE)
		x->left = 0; /* how it ended is said when it has closed the other side */
	x->lines += k > 0 ? k : 0;
	x->left -= k > 0 ? (size_t)k : 0;
	if (!x->left && !c->kept)
		close_in(c);
	return 0;
}

static int read_some(struct reward_command *c, struct exchange *x, struct err *e)
{
	char piece[4096];
	ssize_t k = read(c->out, piece, sizeof(piece));

	if (k < 0 && errno != EINTR)
		return err_set(e, "--reward-command: its numbers cannot be read: %s", strerror(errno));
	x->over = k == 0;
	if (k > 0)
		buf_add(&x->said, piece, (size_t)k);
	return k < 0 ? 0 : take_lines(x, c->command, e);
}

static int say_late(const struct reward_command *c, const struct exchange *x, struct err *e)
{
	return err_set(e, "--reward-command '%.80s' wrote %zu of %zu numbers in %g seconds (--reward-timeout) and was "
	                  "ended%s", c->command, x->read, x->n, c->seconds,
	               c->kept ? "; it has to answer each line as it comes" : "");
}

static int exchange(struct reward_command *c, struct exchange *x, struct err *e)
{
	while (!x->over && !(c->kept && x->read >= x->n && !x->left)) {
		struct pollfd fds[2] = { { c->out, POLLIN, 0 }, { x->left ? c->in : -1, POLLOUT, 0 } };
		int k = poll(fds, 2, LOOK);
		if (stop_asked())
			return err_set(e, "interrupted while --reward-command judged");
		if (c->seconds > 0 && clock_seconds() > x->deadline)
			return say_late(c, x, e);
		if (k <= 0)
			continue;
		if (fds[1].revents && write_some(c, x, e) < 0)
			return -1;
		if (fds[0].revents && read_some(c, x, e) < 0)
			return -1;
	}
	return 0;
}

/* A program that reads no more does not end us. */
static int exchange_guarded(struct reward_command *c, struct exchange *x, struct err *e)
{
	struct timespec now = { 0 };
	sigset_t pipe_signal, before;

	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
	int status = exchange(c, x, e);
	while (sigtimedwait(&pipe_signal, NULL, &now) > 0)
		;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return status;
}

int reward_command_ask(struct reward_command *c, const char *lines, size_t length, size_t n, double *out,
                       struct err *e)
{
	struct exchange x = { .lines = lines, .left = length, .n = n, .out = out,
		              .deadline = clock_seconds() + c->seconds };

	if (!c->pid && start(c, e) < 0)
		return -1;
	int status = exchange_guarded(c, &x, e);
	if (status == 0 && x.over)
		status = say_end(c, e);
	if (status == 0 && (x.read != n || (c->kept && x.said.len)))
		status = err_set(e, "--reward-command '%.80s' wrote %zu numbers for %zu rows", c->command, x.read, n);
	if (status < 0)
		reward_command_end(c);
	buf_release(&x.said);
	return status;
}
