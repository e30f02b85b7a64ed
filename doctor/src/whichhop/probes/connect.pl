# Connects to a socket, a path or host:port, and says what the kernel answered: "connected", or its words.
# perl-base is part of every Debian, and the only thing in an nginx image that can do this.
use IO::Socket::UNIX; use IO::Socket::INET; my ($to) = @ARGV; my $s;
if ($to =~ m{^/}) { $s = IO::Socket::UNIX->new(Peer => $to, Timeout => 2) }
else { my ($h, $p) = $to =~ /^(.*):(\d+)$/; my $a = gethostbyname($h);
       if (!$a) { print "unknown host"; exit }
       $s = IO::Socket::INET->new(PeerAddr => join(".", unpack("C4", $a)), PeerPort => $p, Timeout => 2) }
print $s ? "connected" : "$!"
