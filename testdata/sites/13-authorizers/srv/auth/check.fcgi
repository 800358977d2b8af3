#!/usr/bin/perl
use FCGI;
