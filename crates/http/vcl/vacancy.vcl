# What a Varnish needs to cache answers of vacancy-http and to forget them when it is told to.
# For Varnish 6.6 and later, without further modules.
#
# Include it after the backend and after the list of those who may purge, which is the application
# and nobody else:
#
#     vcl 4.1;
#
#     backend default { .host = "127.0.0.1"; .port = "3000"; }
#
#     acl vacancy_purgers { "127.0.0.1"; }
#
#     include "/etc/varnish/vacancy.vcl";
#
# Routines of the same name in other files are run too, in the order in which they are included.

import std;

sub vcl_recv {
    if (req.method == "BAN") {
        if (client.ip !~ vacancy_purgers) {
            return (synth(403, "Forbidden"));
        }
        # Nothing but our own keys may become a part of the expression.
        if (req.http.Surrogate-Key !~ "^[0-9a-f]{32}( [0-9a-f]{32})*$") {
            return (synth(400, "No keys"));
        }
        # Keys are of one length and separated by spaces, so one cannot match across two others.
        # Only what the object has is asked for, so the ban lurker can do the work.
        if (std.ban("obj.http.Surrogate-Key ~ " + regsuball(req.http.Surrogate-Key, " ", "|"))) {
            return (synth(200, "Banned"));
        }
        return (synth(500, "Not banned"));
    }
}

sub vcl_backend_response {
    if (beresp.http.Surrogate-Key) {
        if (beresp.http.Surrogate-Control ~ "max-age=[0-9]+") {
            set beresp.ttl = std.duration(
                regsub(beresp.http.Surrogate-Control, "^.*max-age=([0-9]+).*$", "\1s"), 0s);
        }
        # Grace would serve an answer after its time, for as long again.
        set beresp.grace = 0s;
    }
}

sub vcl_deliver {
    # They are between the application and its edge.
    unset resp.http.Surrogate-Key;
    unset resp.http.Surrogate-Control;
}
