/* clock: the monotonic clock for durations, the wall clock for records only. */
#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

static double seconds_of(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double clock_seconds(void) { return seconds_of(CLOCK_MONOTONIC); }
double clock_spin_seconds(void) { return seconds_of(CLOCK_MONOTONIC); }
double clock_suspended_seconds(void) { return seconds_of(CLOCK_BOOTTIME) - seconds_of(CLOCK_MONOTONIC); }
double clock_wall_seconds(void) { return seconds_of(CLOCK_REALTIME); }
double clock_cpu_seconds(void) { return seconds_of(CLOCK_PROCESS_CPUTIME_ID); }

void clock_iso(char out[32])
{
	time_t now = time(NULL);
	struct tm tm;
	gmtime_r(&now, &tm);
	strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void clock_human(double seconds, char out[32])
{
	if (!(seconds >= 0) || seconds > 1e12) {
		snprintf(out, 32, "?");
		return;
	}
	unsigned long long s = (unsigned long long)llround(seconds);
	if (seconds > 0 && seconds < 0.0495)
		snprintf(out, 32, seconds < 1e-6 ? "%.3g ns" : seconds < 1e-3 ? "%.3g µs" : "%.3g ms",
		         seconds * (seconds < 1e-6 ? 1e9 : seconds < 1e-3 ? 1e6 : 1e3));
	else if (seconds < 9.95)
		snprintf(out, 32, "%.1f s", seconds);
	else if (s < 60)
		snprintf(out, 32, "%llu s", s);
	else if (s < 3600)
		snprintf(out, 32, "%llu min %02llu s", s / 60, s % 60);
	else
		snprintf(out, 32, "%llu h %02llu min", s / 3600, s % 3600 / 60);
}
