#!/usr/bin/perl
use Tracker::FCGI;
Tracker::FCGI->run;
